//! Finding out what a server can do, and how it wants to be spoken to.
//!
//! First it is only read: what it says of itself, and how it answers filters. When a name is given, a user of that
//! name and a group are made, each way of writing is tried on them and looked at, and both are removed again,
//! whatever came of it.

use muster_engine::port::{Finding, Probe, Target, TargetError, TestFailure, Write};
use muster_model::ObjectId;
use muster_model::directory::Kind;
use muster_model::job::PatchStyle;
use muster_model::link::TargetId;
use reqwest::Method;
use serde_json::{Map, Value as Json, json};

use super::{ScimTarget, body, dialect, place, test};

pub(super) async fn probe(target: &ScimTarget, canary: Option<&str>) -> Result<Probe, TestFailure> {
    // Whoever refuses the token or finds no users by a filter cannot be provisioned into at all.
    test::users(target).await?;
    let mut probe = Probe {
        dialect: target.dialect,
        ..Probe::default()
    };
    tell(
        &mut probe,
        "finds users by a filter",
        true,
        format!("{} eq", target.user_match),
    );
    let knows_patch = says(target, &mut probe).await;
    groups(target, &mut probe).await;
    pages(target, &mut probe).await;
    if knows_patch == Some(false) {
        probe.dialect.puts = true;
    }
    if let Some(name) = canary {
        let mut made = Vec::new();
        if let Err(error) = try_out(target, name, &mut probe, &mut made).await {
            tell(
                &mut probe,
                "takes what is written",
                false,
                error.to_string(),
            );
        }
        // Also when something went wrong.
        for (kind, id) in made.into_iter().rev() {
            match target.write(kind, &Write::Delete(&id)).await {
                Ok(_) | Err(TargetError::NotFound) => {}
                Err(error) => probe.left_behind.push(format!("{kind} {id}: {error}")),
            }
        }
    }
    Ok(probe)
}

fn tell(probe: &mut Probe, what: &'static str, works: bool, said: impl Into<String>) {
    probe.findings.push(Finding {
        what,
        works,
        said: said.into(),
    });
}

/// What it says of itself (RFC 7644, 4): answers whether it knows PATCH, when it says so.
async fn says(target: &ScimTarget, probe: &mut Probe) -> Option<bool> {
    let asked = target.ask(Method::GET, "/ServiceProviderConfig");
    match target.json(asked).await {
        Ok(config) => {
            let supported = |name: &str| config.get(name).and_then(|it| it["supported"].as_bool());
            for (name, what) in [
                ("patch", "says that it knows PATCH"),
                ("filter", "says that it knows filters"),
                ("etag", "says that it knows versions"),
                ("bulk", "says that it knows bulk requests"),
            ] {
                if let Some(is) = supported(name) {
                    tell(probe, what, is, format!("{name}.supported is {is}"));
                }
            }
            supported("patch")
        }
        Err(error) => {
            tell(probe, "says what it can do", false, error.to_string());
            None
        }
    }
}

async fn groups(target: &ScimTarget, probe: &mut Probe) {
    let nobody = ObjectId::new().to_string().into();
    let attribute = target.group_match.as_deref().unwrap_or("displayName");
    let filter = body::equals(attribute, &nobody);
    match target.list(Kind::Group, &[("filter", &filter)]).await {
        Ok((0, found)) if found.is_empty() => {
            probe.dialect.filters_groups = true;
            tell(
                probe,
                "finds groups by a filter",
                true,
                format!("{attribute} eq"),
            );
        }
        Ok((total, _)) => {
            probe.dialect.filters_groups = false;
            let said = format!("it answered with {total} groups for a name that nobody has");
            tell(probe, "finds groups by a filter", false, said);
        }
        Err(error) => {
            let listed = target.list(Kind::Group, &[("count", "1")]).await;
            probe.dialect.filters_groups = listed.is_err();
            let more = match listed {
                Ok(_) => "they can be listed",
                Err(_) => "and lists none: switch the group mapping off",
            };
            let said = format!("{error}; {more}");
            tell(probe, "finds groups by a filter", false, said);
        }
    }
}

/// Does what it says of its pages agree with them?
async fn pages(target: &ScimTarget, probe: &mut Probe) {
    let query = [("startIndex", "1"), ("count", "2")];
    let what = "lists users page by page";
    match target.list(Kind::User, &query).await {
        Ok((total, page)) => {
            let expected = total.min(2);
            let works = page.len() as u64 == expected;
            let said = format!("{total} users; asked for 2, it listed {}", page.len());
            tell(probe, what, works, said);
        }
        Err(error) => tell(probe, what, false, error.to_string()),
    }
}

/// Makes a user and a group, and finds out which way of changing them works.
async fn try_out(
    target: &ScimTarget,
    name: &str,
    probe: &mut Probe,
    made: &mut Vec<(Kind, TargetId)>,
) -> Result<(), TargetError> {
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name, "displayName": name, "active": true,
        "name": { "givenName": "Muster", "familyName": "Probe" },
        "emails": [{ "type": "work", "value": name, "primary": true }]
    });
    // Nobody's account is tried out, and removed.
    let filter = body::equals("userName", &name.into());
    let (total, found) = target.list(Kind::User, &[("filter", &filter)]).await?;
    if total > 0 || !found.is_empty() {
        return Err(TargetError::NotAllowed(format!(
            "there is somebody called {name} at the target already; give another --canary"
        )));
    }
    let user = create(target, Kind::User, (&user, name), probe, made).await?;
    tell(probe, "creates a user", true, format!("{user}"));
    let is_active = async || -> Result<Option<bool>, TargetError> {
        let read = target.json(target.ask(Method::GET, &place(Kind::User, &user)));
        Ok(read.await?.get("active").and_then(Json::as_bool))
    };
    let mut works = None;
    for style in [PatchStyle::Rfc, PatchStyle::Aad062020, PatchStyle::Aad2017] {
        let off = json!({ "op": "replace", "path": "active", "value": false });
        let sent = patch(
            target,
            Kind::User,
            &user,
            dialect::update(style, vec![off], &[]),
        )
        .await;
        let is_off = sent.is_ok() && is_active().await? == Some(false);
        let said = match sent {
            Ok(()) if is_off => "the account is off".to_owned(),
            Ok(()) => "it said yes, and the account is still on".to_owned(),
            Err(error) => error.to_string(),
        };
        let what = match style {
            PatchStyle::Rfc => "disables a user by the RFC's PATCH",
            PatchStyle::Aad062020 => "disables a user by the PATCH of 062020",
            PatchStyle::Aad2017 => "disables a user by the PATCH of 2017",
        };
        tell(probe, what, is_off, said);
        if is_off {
            works = Some(style);
            break;
        }
    }
    // What it says of itself weighs less than what it does.
    probe.dialect.puts = works.is_none() && put_works(target, &user, probe).await?;
    probe.dialect.patch = works;
    if works.is_none() && !probe.dialect.puts {
        tell(
            probe,
            "can be provisioned into",
            false,
            "no way of writing switches an account off: look at its errors, and at the token's rights",
        );
    }
    if target.group_match.is_some() {
        try_group(target, &user, probe, made).await?;
    }
    Ok(())
}

/// Does it take whole resources?
async fn put_works(
    target: &ScimTarget,
    user: &TargetId,
    probe: &mut Probe,
) -> Result<bool, TargetError> {
    let path = place(Kind::User, user);
    let mut resource = target.json(target.ask(Method::GET, &path)).await?;
    resource.remove("meta");
    resource.insert("active".to_owned(), Json::Bool(false));
    let request = target
        .ask(Method::PUT, &path)
        .header("content-type", "application/scim+json")
        .body(Json::Object(resource).to_string());
    let sent = target.send(request).await.map(drop);
    let read = target.json(target.ask(Method::GET, &path)).await?;
    let works = sent.is_ok() && read.get("active") == Some(&Json::Bool(false));
    let said = match sent {
        Ok(()) if works => "the account is off".to_owned(),
        Ok(()) => "it said yes, and the account is still on".to_owned(),
        Err(error) => error.to_string(),
    };
    tell(probe, "disables a user by PUT", works, said);
    Ok(works)
}

/// Members come, and one of them leaves: the other must stay.
async fn try_group(
    target: &ScimTarget,
    user: &TargetId,
    probe: &mut Probe,
    made: &mut Vec<(Kind, TargetId)>,
) -> Result<(), TargetError> {
    let name = format!("muster-probe-{}", ObjectId::new());
    let group = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name
    });
    let group = create(target, Kind::Group, (&group, &name), probe, made).await?;
    tell(probe, "creates a group", true, format!("{group}"));
    let Some(style) = probe.dialect.patch else {
        return Ok(());
    };
    let has = async || -> Result<bool, TargetError> {
        let read = target.json(target.ask(Method::GET, &place(Kind::Group, &group)));
        let read = read.await?;
        let members = read.get("members").and_then(Json::as_array);
        let is = |member: &Json| member["value"] == user.0.as_str();
        Ok(members.is_some_and(|members| members.iter().any(is)))
    };
    let one = std::slice::from_ref(user);
    let add = dialect::add_references(style, Kind::Group, "members", one);
    let added = patch(target, Kind::Group, &group, add).await;
    let works = added.is_ok() && has().await?;
    let there = if works {
        "it is in the group"
    } else {
        "it said yes, and nobody is there"
    };
    let said = added.map_or_else(|error| error.to_string(), |()| there.to_owned());
    tell(probe, "adds a member", works, said);
    let remove = dialect::remove_references(style, Kind::Group, "members", one);
    let removed = patch(target, Kind::Group, &group, remove).await;
    let works = removed.is_ok() && !has().await?;
    let gone = if works {
        "it is out of the group"
    } else {
        "it said yes, and it is still there"
    };
    let said = removed.map_or_else(|error| error.to_string(), |()| gone.to_owned());
    tell(probe, "removes a member", works, said);
    Ok(())
}

async fn create(
    target: &ScimTarget,
    kind: Kind,
    (body, name): (&Json, &str),
    probe: &mut Probe,
    made: &mut Vec<(Kind, TargetId)>,
) -> Result<TargetId, TargetError> {
    let request = target
        .ask(Method::POST, super::collection(kind))
        .header("content-type", "application/scim+json")
        .body(body.to_string());
    let created = target.json(request).await;
    let created = created.and_then(|created: Map<String, Json>| super::answer::id(&created));
    let id = created.inspect_err(|error| {
        if error.may_have_arrived() {
            let left = format!("{kind} {name}, if it was made: {error}");
            probe.left_behind.push(left);
        }
    })?;
    made.push((kind, id.clone()));
    Ok(id)
}

async fn patch(
    target: &ScimTarget,
    kind: Kind,
    id: &TargetId,
    operations: Vec<Json>,
) -> Result<(), TargetError> {
    let request = target
        .ask(Method::PATCH, &place(kind, id))
        .header("content-type", "application/scim+json")
        .body(body::patch(operations).to_string());
    target.send(request).await.map(drop)
}
