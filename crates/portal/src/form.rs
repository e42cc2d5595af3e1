//! What a form sends: bounded, from a page of ours, by who has the session.

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use http::{HeaderMap, StatusCode, header};
use muster_web::{BODY, read_body};
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use crate::Face;
use crate::failure::Failure;
use crate::who::Who;

/// Bytes of a form at most: a list of people to assign is the longest.
const LARGEST: usize = 4 * 1024 * 1024;
/// Fields of a form at most.
const FIELDS: usize = 20_000;

/// Fields by name, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The field's value without blanks around it; empty when it is not there.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    pub(crate) fn raw(&self, name: &str) -> &str {
        let mut all = self.0.iter();
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
        Ok(Self(fields))
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
        let (parts, body) = request.into_parts();
        if !is_ours(&parts.headers) {
            return Err(Failure::forbidden(
                "The form was sent from another site. Nothing was done.",
            ));
        }
        let is_form = parts.headers.get(header::CONTENT_TYPE).is_none_or(|kind| {
            kind.as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        if !is_form {
            return Err(wrong("A form is expected."));
        }
        let bytes = read_body(body, LARGEST, BODY)
            .await
            .map_err(|_| wrong("The form is too large, or did not come to its end."))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("The form is not UTF-8."))?;
        Ok(Self(Fields::read(text)?))
    }
}

/// Fields of a form, with who sent it.
pub(crate) struct Form(pub(crate) Who, pub(crate) Fields);

impl FromRequest<Face> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, face: &Face) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let who = Who::from_request_parts(&mut parts, face).await?;
        let request = Request::from_parts(parts, body);
        let Outside(fields) = Outside::from_request(request, face).await?;
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
