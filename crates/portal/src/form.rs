//! What a form sends: bounded, from a page of ours, by who has the session.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use http::{HeaderMap, StatusCode, header};
use muster_web::{BODY, read_body};
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use crate::Face;
use crate::failure::Failure;
use crate::who::Who;

/// Bytes of a form from who is not signed in.
const LARGEST_OUTSIDE: usize = 16 * 1024;
/// Bytes of a form at most: a list of people to assign is the longest.
const LARGEST: usize = 4 * 1024 * 1024;
/// Bytes of a form with a file at most.
pub(crate) const LARGEST_FILE: usize = 16 * 1024 * 1024;
/// Fields of a form at most.
const FIELDS: usize = 20_000;

/// A file of a form.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Fields by name, in their order, and the file, if there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    all: Vec<(String, String)>,
    pub(crate) upload: Option<Upload>,
}

impl Fields {
    /// The field's value without blanks around it; empty when it is not there.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// Name and value of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.all.iter();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Was the field changed on the page, which says in `was_…` what it showed?
    pub(crate) fn is_changed(&self, name: &str) -> bool {
        self.text(name) != self.text(&format!("was_{name}"))
    }

    /// Is there such a field, be it empty?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.iter().any(|(it, _)| it == name)
    }

    pub(crate) fn raw(&self, name: &str) -> &str {
        let mut all = self.all.iter();
        let found = all.find(|(it, _)| it == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Is a box checked?
    pub(crate) fn is_on(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    fn read(text: &str) -> Result<Self, Failure> {
        let decode = |text: &str| -> Result<String, Failure> {
            let spaced = text.replace('+', " ");
            let decoded = percent_decode_str(&spaced).decode_utf8();
            decoded
                .map(|text| text.replace('\0', ""))
                .map_err(|_| wrong("The form is not UTF-8."))
        };
        let mut fields = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if fields.len() == FIELDS {
                return Err(wrong("The form has too many fields."));
            }
            fields.push((decode(name)?, decode(value)?));
        }
        Ok(Self {
            all: fields,
            upload: None,
        })
    }

    /// Reads a form with a file (RFC 7578).
    async fn read_multipart(bytes: Bytes, kind: &str) -> Result<Self, Failure> {
        let broken = |_| wrong("The form cannot be read.");
        let boundary = multer::parse_boundary(kind).map_err(broken)?;
        let body = futures::stream::once(async { Ok::<_, Infallible>(bytes) });
        let mut parts = multer::Multipart::new(body, boundary);
        let mut fields = Self::default();
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            if fields.all.len() == FIELDS {
                return Err(wrong("The form has too many fields."));
            }
            let name = part.name().unwrap_or_default().to_owned();
            let file = part.file_name().map(str::to_owned);
            let bytes = part.bytes().await.map_err(broken)?;
            match file {
                // A browser sends a file without a name when none was chosen.
                Some(name) if name.is_empty() => {}
                Some(name) => {
                    fields.upload = Some(Upload {
                        name,
                        bytes: bytes.to_vec(),
                    });
                }
                None => {
                    let text = std::str::from_utf8(&bytes);
                    let text = text.map_err(|_| wrong("The form is not UTF-8."))?;
                    fields.all.push((name, text.replace('\0', "")));
                }
            }
        }
        Ok(fields)
    }
}

/// The options in an address.
pub(crate) fn query(uri: &http::Uri) -> Result<Fields, Failure> {
    Fields::read(uri.query().unwrap_or_default())
}

fn wrong(what: &str) -> Failure {
    Failure::Said(StatusCode::BAD_REQUEST, what.to_owned())
}

/// Was it sent from a page of ours? Browsers say where a form comes from.
fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text("origin") else {
        return true;
    };
    let host = text("host").unwrap_or_default();
    origin
        .split_once("://")
        .is_some_and(|(_, of)| of.eq_ignore_ascii_case(host))
}

/// Fields of a form, from who is not signed in yet.
pub(crate) struct Outside(pub(crate) Fields);

impl FromRequest<Face> for Outside {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Face) -> Result<Self, Failure> {
        Ok(Self(read_form(request, LARGEST_OUTSIDE, None).await?))
    }
}

/// Reads a form of so many bytes at most; of more, when it is one with a file, and there may be one.
async fn read_form(
    request: Request,
    largest: usize,
    with_file: Option<usize>,
) -> Result<Fields, Failure> {
    let (parts, body) = request.into_parts();
    if !is_ours(&parts.headers) {
        return Err(Failure::forbidden(
            "The form was sent from another site. Nothing was done.",
        ));
    }
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let kind = kind.map_or("", |kind| kind.to_str().unwrap_or("none"));
    let has_file = kind.starts_with("multipart/form-data");
    let is_plain = kind.is_empty() || kind.starts_with("application/x-www-form-urlencoded");
    let largest = match with_file {
        _ if is_plain => largest,
        Some(largest) if has_file => largest,
        _ => return Err(wrong("A form is expected.")),
    };
    let bytes = read_body(body, largest, BODY).await.map_err(|_| {
        let most = largest / 1024;
        let said = format!("The form is larger than {most} KiB, or did not come to its end.");
        Failure::Said(StatusCode::PAYLOAD_TOO_LARGE, said)
    })?;
    if has_file {
        return Fields::read_multipart(bytes, kind).await;
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("The form is not UTF-8."))?;
    Fields::read(text)
}

/// Fields of a form, with who sent it.
pub(crate) struct Form(pub(crate) Who, pub(crate) Fields);

impl FromRequest<Face> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, face: &Face) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let who = Who::from_request_parts(&mut parts, face).await?;
        let request = Request::from_parts(parts, body);
        let fields = read_form(request, LARGEST, Some(LARGEST_FILE)).await?;
        let (given, kept) = (fields.raw("csrf").as_bytes(), who.session.csrf.as_bytes());
        if !bool::from(given.ct_eq(kept)) {
            return Err(Failure::forbidden(
                "The form is not of this session: open the page again. Nothing was done.",
            ));
        }
        Ok(Self(who, fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        let of = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            is_ours(&headers)
        };
        assert!(of(&[("sec-fetch-site", "same-origin")]));
        assert!(!of(&[("sec-fetch-site", "cross-site")]));
        assert!(!of(&[("sec-fetch-site", "same-site")]));
        assert!(of(&[("origin", "http://a:1"), ("host", "a:1")]));
        assert!(!of(&[("origin", "http://b:1"), ("host", "a:1")]));
        assert!(!of(&[("origin", "null"), ("host", "a:1")]));
        assert!(of(&[("host", "a:1")]));
    }

    #[test]
    fn fields_are_read() {
        let fields = Fields::read("a=1+2&b=%C3%A4&c=&a=3").unwrap();
        assert_eq!((fields.text("a"), fields.text("b")), ("1 2", "ä"));
        assert!(!fields.is_on("c") && !fields.is_on("d"));
        assert!(Fields::read("a=%FF").is_err());
    }
}
