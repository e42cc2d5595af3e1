//! What gives access to a target, as it is sealed beside its secret.

use muster_model::job::{Access, Allowed, OAuth, Scheme};
use muster_model::{Secret, Timestamp};
use serde_json::{Value as Json, json};

/// What [`read`] reads.
pub fn write(access: &Access) -> Secret<String> {
    let mut json = match &access.scheme {
        Scheme::Bearer => json!({ "scheme": "bearer" }),
        Scheme::Basic { user } => json!({ "scheme": "basic", "user": user }),
        Scheme::OAuth(oauth) => json!({
            "scheme": "oauth", "tokenUrl": oauth.token_url, "clientId": oauth.client_id,
            "scope": oauth.scope, "keyId": oauth.key_id,
            "allowed": oauth.allowed.as_ref().map(|it| it.id.as_str()),
            "refresh": oauth.allowed.as_ref().map(|it| it.refresh.expose().as_str())
        }),
    };
    json["next"] = Json::from(access.next.as_ref().map(|next| next.expose().as_str()));
    json["expires"] = Json::from(access.expires.map(Timestamp::as_micros));
    Secret::new(json.to_string())
}

/// What [`write`] wrote; `None`, when it cannot be understood: nobody is shown a secret that is meant otherwise.
pub fn read(text: &str) -> Option<Access> {
    let json: Json = serde_json::from_str(text).ok()?;
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let scheme = match json["scheme"].as_str()? {
        "bearer" => Scheme::Bearer,
        "basic" => Scheme::Basic {
            user: text("user")?,
        },
        "oauth" => Scheme::OAuth(OAuth {
            token_url: text("tokenUrl")?,
            client_id: text("clientId")?,
            scope: text("scope"),
            key_id: text("keyId"),
            allowed: match (text("allowed"), text("refresh")) {
                (Some(id), Some(refresh)) => Some(Allowed {
                    id,
                    refresh: Secret::new(refresh),
                }),
                _ => None,
            },
        }),
        _ => return None,
    };
    Some(Access {
        scheme,
        next: text("next").map(Secret::new),
        expires: json["expires"].as_i64().map(Timestamp::from_micros),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let schemes = [
            Scheme::Bearer,
            Scheme::Basic {
                user: "ana".to_owned(),
            },
            Scheme::OAuth(OAuth {
                token_url: "https://id.example.test/token".to_owned(),
                client_id: "muster".to_owned(),
                scope: Some("scim".to_owned()),
                key_id: Some("1".to_owned()),
                allowed: Some(Allowed {
                    id: "a1".to_owned(),
                    refresh: Secret::new("rt".to_owned()),
                }),
            }),
        ];
        for scheme in schemes {
            let access = Access {
                scheme,
                next: Some(Secret::new("two".to_owned())),
                expires: Some(Timestamp::from_micros(7)),
            };
            assert_eq!(read(write(&access).expose()), Some(access));
        }
        assert_eq!(read("{\"scheme\":\"magic\"}"), None);
    }
}
