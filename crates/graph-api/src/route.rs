//! Which handler answers what. One table, which is also what the OpenAPI description is made of.

use futures::future::BoxFuture;
use http::{Method, StatusCode, header};
use muster_app::api_tokens::ApiToken;
use percent_encoding::percent_decode_str;

use crate::answer::{Answer, Fault};
use crate::request::Call;

/// What a token must be allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    ReadUsers,
    WriteUsers,
    ReadGroups,
    WriteGroups,
    /// Users and groups together.
    ReadDirectory,
    ReadApplications,
    WriteApplications,
    ReadAssignments,
    WriteAssignments,
    ReadSynchronization,
    WriteSynchronization,
    ReadLogs,
    /// Any token: what is inside is looked at again.
    Any,
}

impl Right {
    /// The permissions that suffice (1.2).
    pub(crate) const fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::ReadUsers => &[
                "User.Read.All",
                "User.ReadWrite.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::WriteUsers => &["User.ReadWrite.All", "Directory.ReadWrite.All"],
            Self::ReadGroups => &[
                "Group.Read.All",
                "Group.ReadWrite.All",
                "GroupMember.Read.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::WriteGroups => &["Group.ReadWrite.All", "Directory.ReadWrite.All"],
            Self::ReadDirectory => &["Directory.Read.All", "Directory.ReadWrite.All"],
            Self::ReadApplications => &[
                "Application.Read.All",
                "Application.ReadWrite.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::WriteApplications => &["Application.ReadWrite.All"],
            Self::ReadAssignments => &[
                "Application.Read.All",
                "Application.ReadWrite.All",
                "AppRoleAssignment.ReadWrite.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::WriteAssignments => &["AppRoleAssignment.ReadWrite.All"],
            Self::ReadSynchronization => {
                &["Synchronization.Read.All", "Synchronization.ReadWrite.All"]
            }
            Self::WriteSynchronization => &["Synchronization.ReadWrite.All"],
            Self::ReadLogs => &["AuditLog.Read.All"],
            Self::Any => &[],
        }
    }
}

impl Right {
    /// Refuses a token that has it not.
    pub(crate) fn allow(self, token: &ApiToken) -> Result<(), Fault> {
        let suffices = self.permissions();
        if suffices.is_empty() || token.allows(suffices) {
            return Ok(());
        }
        Err(Fault::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            format!(
                "Insufficient privileges to complete the operation. The token needs one of: {}.",
                suffices.join(", ")
            ),
        ))
    }
}

/// What an operation answers when all is well; the schemas are those of the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// 200 with one.
    One(&'static str),
    /// 200 with a page of them.
    List(&'static str),
    /// 200 with a page of them, and a link to what will have changed.
    Delta(&'static str),
    /// 200 with texts.
    Ids,
    /// 200 with a number as text.
    Count,
    /// 201 with the new one.
    Made(&'static str),
    /// 204, or 200 with what it is now for who prefers that.
    Kept(&'static str),
    /// 200 with a cycle that has ended, or 202: it goes on.
    Cycle,
    /// 204.
    Done,
}

/// Answers a request.
pub(crate) type Handler = fn(Call) -> BoxFuture<'static, Result<Answer, Fault>>;

/// One operation.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// What is in braces is whatever stands there.
    pub(crate) path: &'static str,
    pub(crate) right: Right,
    /// The schema of the body, if it reads one.
    pub(crate) takes: Option<&'static str>,
    pub(crate) gives: Gives,
    /// What it does, in a few words.
    pub(crate) does: &'static str,
    pub(crate) answer: Handler,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Route {
    pub(crate) fn reads_body(&self) -> bool {
        self.takes.is_some()
    }
}

/// A route, and what stands in the path at its names.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) route: &'static Route,
    pub(crate) args: Vec<String>,
}

impl Found {
    pub(crate) fn allow(&self, token: &ApiToken) -> Result<(), Fault> {
        self.route.right.allow(token)
    }
}

/// First segments of Graph that are known and not offered here.
const ELSEWHERE: &[&str] = &[
    "me",
    "sites",
    "drives",
    "teams",
    "chats",
    "devices",
    "policies",
    "identity",
    "reports",
    "security",
    "identitygovernance",
    "rolemanagement",
    "devicemanagement",
    "domains",
    "subscriptions",
    "contacts",
    "schemaextensions",
    "oauth2permissiongrants",
    "directoryroles",
    "invitations",
    "education",
    "communications",
    "planner",
    "places",
];

/// The route of a path after the version.
pub(crate) fn find(method: &Method, path: &str) -> Result<Found, Fault> {
    let segments = segments(path)?;
    let fitting = crate::routes::all()
        .iter()
        .find_map(|route| Some((route.path, fits(route.path, &segments)?)));
    if let Some((path, args)) = fitting {
        let of_path = || crate::routes::all().iter().filter(|it| it.path == path);
        if let Some(route) = of_path().find(|route| route.method == *method) {
            return Ok(Found { route, args });
        }
        let allowed: Vec<&str> = of_path().map(|route| route.method.as_str()).collect();
        return Err(Fault::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            format!(
                "Specified HTTP method is not allowed for the request target; it takes {}.",
                allowed.join(", ")
            ),
        )
        .with(header::ALLOW, allowed.join(", ")));
    }
    let first = segments.first().map(|it| it.to_ascii_lowercase());
    if first.is_some_and(|first| ELSEWHERE.contains(&first.as_str())) {
        return Err(Fault::new(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            "This part of Microsoft Graph is not offered here.",
        ));
    }
    Err(Fault::new(
        StatusCode::NOT_FOUND,
        "Request_ResourceNotFound",
        "Resource not found for the segment of the path.",
    ))
}

/// Types and functions that may be written with the namespace before them.
const DRESSED: &[&str] = &["user", "group", "application", "servicePrincipal", "delta"];

/// The path taken apart: `users('x')` is two segments, and functions and casts are without their clothes.
fn segments(path: &str) -> Result<Vec<String>, Fault> {
    let mut segments = Vec::new();
    for raw in path.split('/').filter(|raw| !raw.is_empty()) {
        let segment = percent_decode_str(raw)
            .decode_utf8()
            .map_err(|_| Fault::bad_request("The path is not UTF-8."))?
            .into_owned();
        if segment.len() > 512 || segment.contains('\0') {
            return Err(Fault::bad_request(
                "A segment of the path is too long or holds a NUL.",
            ));
        }
        // A sign-in name may begin so, too.
        let bare = ["microsoft.graph.", "graph."].iter().find_map(|prefix| {
            let rest = segment.get(prefix.len()..)?;
            let is_it = segment[..prefix.len()].eq_ignore_ascii_case(prefix);
            let name = rest.trim_end_matches("()");
            let is_known = DRESSED.iter().any(|it| it.eq_ignore_ascii_case(name));
            (is_it && is_known).then(|| rest.to_owned())
        });
        let segment = bare.unwrap_or(segment);
        let key = segment
            .strip_suffix(')')
            .and_then(|it| it.split_once('('))
            .filter(|(name, _)| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            });
        let Some((name, key)) = key else {
            segments.push(segment);
            continue;
        };
        segments.push(name.to_owned());
        let (alternate, value) = match key.split_once("='") {
            Some((alternate, value)) => (Some(alternate), value.strip_suffix('\'')),
            None => match key.strip_prefix('\'') {
                Some(value) => (None, value.strip_suffix('\'')),
                None => (None, Some(key)),
            },
        };
        let value = value
            .ok_or_else(|| Fault::bad_request("A key in the path has no closing quote."))?
            .replace("''", "'");
        match alternate {
            Some("appId") => segments.push(format!("appId={value}")),
            Some("userPrincipalName") => segments.push(value),
            Some(other) => {
                return Err(Fault::bad_request(format!(
                    "'{}' is no alternate key.",
                    other.chars().take(40).collect::<String>()
                )));
            }
            None if value.is_empty() => {}
            None => segments.push(value),
        }
    }
    Ok(segments)
}

fn fits(template: &str, segments: &[String]) -> Option<Vec<String>> {
    let mut args = Vec::new();
    let mut at = segments.iter();
    for part in template.split('/').skip(1) {
        let segment = at.next()?;
        if part.starts_with('{') {
            args.push(segment.clone());
        } else if !part.eq_ignore_ascii_case(segment) {
            return None;
        }
    }
    at.next().is_none().then_some(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &[&str]) {
        assert_eq!(segments(path).unwrap(), expected, "{path}");
    }

    #[test]
    fn every_route_is_found() {
        for route in crate::routes::all() {
            let path = route.path.replace(['{', '}'], "");
            let found = find(&route.method, &path).unwrap_or_else(|_| panic!("{route:?}"));
            assert_eq!(found.route.path, route.path);
            assert!(find(&Method::OPTIONS, &path).is_err(), "{route:?}");
        }
    }

    #[test]
    fn paths_are_taken_apart() {
        check(
            "/users('a%40b')/manager/$ref",
            &["users", "a@b", "manager", "$ref"],
        );
        check("/users/delta()", &["users", "delta"]);
        check("/users/microsoft.graph.delta()", &["users", "delta"]);
        check(
            "//groups//x/members/graph.user/",
            &["groups", "x", "members", "user"],
        );
        check(
            "/servicePrincipals(appId='a1')/synchronization",
            &["servicePrincipals", "appId=a1", "synchronization"],
        );
        check(
            "/users(userPrincipalName='o''neil@x')",
            &["users", "o'neil@x"],
        );
        assert!(segments("/users('a").is_ok());
        assert!(segments("/users(x='a')").is_err());
        check("/users/graph.jones@x", &["users", "graph.jones@x"]);
        check("/users/ümläut.x@x", &["users", "ümläut.x@x"]);
    }
}
