//! Credentials and the settings stored with them (9.5).

use std::collections::BTreeMap;

use http::StatusCode;
use muster_app::applications::{self, Put, Shown, TestFailure};
use muster_model::Secret;
use muster_model::job::{Access, Credentials, Scope};
use serde_json::{Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::applications::service_principal;
use crate::request::Call;
use crate::synchronization::{place, template_of, with_job};

/// All keys that there are (12.20).
const KEYS: &[&str] = &[
    "UserName",
    "Password",
    "SecretToken",
    "AppKey",
    "BaseAddress",
    "ClientIdentifier",
    "ClientSecret",
    "SingleSignOnType",
    "Sandbox",
    "Url",
    "Domain",
    "ConsumerKey",
    "ConsumerSecret",
    "TokenKey",
    "TokenExpiration",
    "Oauth2AccessToken",
    "Oauth2AccessTokenCreationTime",
    "Oauth2RefreshToken",
    "SyncAll",
    "InstanceName",
    "Oauth2ClientId",
    "Oauth2ClientSecret",
    "CompanyId",
    "UpdateKeyOnSoftDelete",
    "SynchronizationSchedule",
    "SystemOfRecord",
    "SandboxName",
    "EnforceDomain",
    "SyncNotificationSettings",
    "SkipOutOfScopeDeletions",
    "Oauth2AuthorizationCode",
    "Oauth2RedirectUri",
    "ApplicationTemplateIdentifier",
    "Oauth2TokenExchangeUri",
    "Oauth2AuthorizationUri",
    "AuthenticationType",
    "Server",
    "PerformInboundEntitlementGrants",
    "HardDeletesEnabled",
    "SyncAgentCompatibilityKey",
    "SyncAgentADContainer",
    "ValidateDomain",
    "TestReferences",
    "ConnectionString",
    "None",
];

/// Those that nobody reads again.
const MASKED: &[&str] = &[
    "SecretToken",
    "Password",
    "ClientSecret",
    "AppKey",
    "ConsumerSecret",
    "TokenKey",
    "Oauth2AccessToken",
    "Oauth2RefreshToken",
    "Oauth2ClientSecret",
    "Oauth2AuthorizationCode",
    "ConnectionString",
];

/// What stands for a value that is masked.
const MASK: &str = "*";
/// Longest value, in bytes.
const LONGEST: usize = 32 * 1024;

/// Entries as somebody writes them; a mask stands for what is kept.
fn read(list: &Json, kept: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Fault> {
    let list = list.as_array().filter(|list| list.len() <= KEYS.len());
    let list =
        list.ok_or_else(|| Fault::invalid("value", "a list of keys and values is expected"))?;
    let (mut entries, mut is_kept) = (BTreeMap::new(), false);
    for entry in list {
        let name = entry["key"].as_str().unwrap_or_default();
        // On input also with a small first letter.
        let known = KEYS.iter().find(|known| {
            let mut rest = known.chars();
            let small = rest.next().map(|first| first.to_ascii_lowercase());
            name == **known
                || (name.starts_with(|first| Some(first) == small) && name[1..] == *rest.as_str())
        });
        let Some(known) = known else {
            return Err(Fault::invalid(
                "key",
                format!(
                    "'{}' is no key of a secret",
                    name.chars().take(60).collect::<String>()
                ),
            ));
        };
        let value = match &entry["value"] {
            Json::String(text) if text.len() <= LONGEST => text.clone(),
            Json::Null => String::new(),
            _ => {
                return Err(Fault::invalid(
                    "value",
                    format!("the value of {known} is a text of at most 32 KiB"),
                ));
            }
        };
        let value = match (value == MASK && MASKED.contains(known), kept.get(*known)) {
            (false, _) => value,
            (true, Some(before)) => {
                is_kept = true;
                before.clone()
            }
            (true, None) => {
                let what = format!("the value of {known} is not kept; give it");
                return Err(Fault::invalid("value", what));
            }
        };
        if !value.is_empty() {
            entries.insert((*known).to_owned(), value);
        }
    }
    // What is kept goes to where it was kept for, and nowhere else.
    let address = |of: &BTreeMap<String, String>| of.get("BaseAddress").cloned();
    if is_kept && address(&entries) != address(kept) {
        return Err(Fault::invalid(
            "value",
            "with another BaseAddress the secrets are given again: what is kept is for the address before",
        ));
    }
    Ok(entries)
}

/// `GET S/secrets`
pub(crate) async fn list(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let entries = applications::entries(&call.ctx, &found.application).await?;
    let value = entries.into_iter().map(|(key, value)| {
        let value = if MASKED.contains(&key.as_str()) {
            MASK.to_owned()
        } else {
            value
        };
        json!({ "key": key, "value": value })
    });
    Ok(Answer::ok(
        call.list(&place(&found, "secrets"), value.collect()),
    ))
}

/// `PUT S/secrets`: all that holds from now on.
pub(crate) async fn replace(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let kept = applications::entries(&call.ctx, &found.application).await?;
    let list = call.object()?.get("value").unwrap_or(&Json::Null);
    let entries = read(list, &kept)?;
    let notices = match entries.get("SyncNotificationSettings") {
        Some(text) => Some(notifications(text)?),
        None => None,
    };
    let all = flag(&entries, "SyncAll")?;
    let skips = flag(&entries, "SkipOutOfScopeDeletions")?;
    let credentials = others(&call, &found, &entries).await?;
    let put = Put {
        credentials,
        scope: if all { Scope::All } else { Scope::AssignedOnly },
        skips,
        most: notices.as_ref().and_then(|it| it.most),
        notification: notices.map(|it| it.recipient),
        entries,
    };
    applications::put_entries(&call.ctx, &found.application, put).await?;
    Ok(Answer::done())
}

fn flag(entries: &BTreeMap<String, String>, name: &str) -> Result<bool, Fault> {
    match entries
        .get(name)
        .map(|text| text.to_ascii_lowercase())
        .as_deref()
    {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Fault::invalid(name, "it is true or false")),
    }
}

/// The tenant URL and the token, when they are others than before.
async fn others(
    call: &Call,
    found: &Shown,
    entries: &BTreeMap<String, String>,
) -> Result<Option<Credentials>, Fault> {
    let saved = applications::saved_credentials(&call.ctx, &found.application).await?;
    let url = entries.get("BaseAddress").cloned().unwrap_or_default();
    let token = entries.get("SecretToken").cloned().unwrap_or_default();
    let access = match &saved {
        Some(before) if before.tenant_url == url && *before.secret_token.expose() == token => {
            return Ok(None);
        }
        Some(before) if before.tenant_url == url => before.access.clone(),
        None if url.is_empty() && token.is_empty() => return Ok(None),
        _ => Access::default(),
    };
    Ok(Some(Credentials {
        tenant_url: url,
        secret_token: Secret::new(token),
        access,
    }))
}

/// Who is told, and how much may be taken away.
struct Notices {
    recipient: Option<String>,
    most: Option<u32>,
}

fn notifications(text: &str) -> Result<Notices, Fault> {
    let name = "SyncNotificationSettings";
    let settings: Json = serde_json::from_str(text)
        .map_err(|error| Fault::invalid(name, format!("it is a JSON text: {error}")))?;
    let is_on = settings["Enabled"].as_bool().unwrap_or(false);
    let recipients = settings["Recipients"].as_str().unwrap_or_default();
    let recipients: Vec<&str> = recipients
        .split([';', ','])
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect();
    if is_on && recipients.len() > 1 {
        return Err(Fault::invalid(
            name,
            "one recipient is supported: name a distribution list to tell several people",
        ));
    }
    let most = settings["DeleteThresholdEnabled"]
        .as_bool()
        .unwrap_or(false);
    let most = most.then(|| match &settings["DeleteThresholdValue"] {
        Json::Null => Some(500),
        value => value.as_u64(),
    });
    let most = most
        .map(|most| {
            let most = most.and_then(|most| u32::try_from(most).ok());
            most.ok_or_else(|| Fault::invalid(name, "DeleteThresholdValue is a number"))
        })
        .transpose()?;
    Ok(Notices {
        recipient: recipients
            .first()
            .filter(|_| is_on)
            .map(|it| (*it).to_owned()),
        most,
    })
}

/// `POST S/jobs/validateCredentials`
pub(crate) async fn validate(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let template = call.object()?.get("templateId").and_then(Json::as_str);
    if template.is_some_and(|template| template != template_of(&found)) {
        return Err(Fault::new(
            StatusCode::BAD_REQUEST,
            "TemplateNotFound",
            "There is no such synchronization template.",
        ));
    }
    test(&call, &found).await
}

/// `POST S/jobs/{id}/validateCredentials`
pub(crate) async fn validate_of_job(call: Call) -> Result<Answer, Fault> {
    let (found, _) = with_job(&call).await?;
    test(&call, &found).await
}

async fn test(call: &Call, found: &Shown) -> Result<Answer, Fault> {
    let body = call.object()?;
    let kept = applications::entries(&call.ctx, &found.application).await?;
    let uses_saved = body.get("useSavedCredentials") == Some(&Json::Bool(true));
    let entries = match body.get("credentials") {
        Some(list) if !uses_saved && !list.is_null() => read(list, &kept)?,
        _ => kept,
    };
    let text = |name: &str| entries.get(name).cloned().unwrap_or_default();
    let url = text("BaseAddress");
    if url.trim().is_empty() {
        return Err(refused(
            "InvalidCredentials",
            "There is no tenant URL (BaseAddress).",
        ));
    }
    let given = Credentials {
        tenant_url: url,
        secret_token: Secret::new(text("SecretToken")),
        access: Access::default(),
    };
    let given = (!uses_saved).then_some(given);
    let id = found.application.id.to_string();
    let tested = applications::test_connection(&call.ctx, &id, given).await?;
    tested
        .map(|()| Answer::done())
        .map_err(|failure| failed(&failure))
}

/// A target that does not answer as it should, by the code of that (9.3).
pub(crate) fn failed(failure: &TestFailure) -> Fault {
    let code = match failure.category {
        "NotAllowed" => "InvalidCredentials",
        "CannotConnect" | "Tls" | "Timeout" => "CredentialValidationUnavailable",
        "NotScim" | "NotScimCompliant" => "ServiceIncompatible",
        _ => "CredentialValidationFailure",
    };
    refused(code, &failure.message)
}

fn refused(code: &str, message: &str) -> Fault {
    let code = match code {
        "InvalidCredentials" => "SystemForCrossDomainIdentityManagementInvalidCredentials",
        "CredentialValidationUnavailable" => {
            "SystemForCrossDomainIdentityManagementCredentialValidationUnavailable"
        }
        "ServiceIncompatible" => "SystemForCrossDomainIdentityManagementServiceIncompatible",
        _ => "SystemForCrossDomainIdentityManagementCredentialValidationFailure",
    };
    Fault::new(StatusCode::BAD_REQUEST, code, message)
}
