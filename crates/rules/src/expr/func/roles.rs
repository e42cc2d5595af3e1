//! App roles: from the assignments of a user to values of the SCIM attribute `roles` (3.7).

use muster_model::{Attributes, Value};

use crate::expr::EvalError;
use crate::expr::eval::{Args, Stop};
use crate::expr::value::Val;

/// The type that every role of ours carries.
const ROLE_TYPE: &str = "WindowsAzureActiveDirectoryRole";

/// One complex value a role, none of them primary. Whether roles are added or replaced at the
/// target is a matter of the export, not of the value.
pub(super) fn complex<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let roles = args.list(0)?;
    if roles.is_empty() {
        return Ok(Val::Null);
    }
    let values: Vec<Value> = roles
        .iter()
        .map(|role| {
            let mut members = Attributes::new();
            members.set("display", display(role));
            members.set("primary", false);
            members.set("type", ROLE_TYPE);
            members.set("value", value(role));
            Value::Object(members)
        })
        .collect();
    Ok(values.into())
}

/// The role's value; an error when there are several, null when there is none.
pub(super) fn single<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let roles = args.list(0)?;
    match &*roles {
        [] => Ok(Val::Null),
        [role] => Ok(crate::expr::value::owned(value(role))),
        several => Err(EvalError::SeveralRoles {
            count: several.len(),
        }
        .into()),
    }
}

/// The value of a role; a sample may hold just the name in place of a complex value.
fn value(role: &Value) -> Value {
    member(role, &["value", "displayName"])
}

fn display(role: &Value) -> Value {
    member(role, &["displayName", "value"])
}

fn member(role: &Value, names: &[&str]) -> Value {
    match role {
        Value::Object(members) => names
            .iter()
            .find_map(|name| members.get(name))
            .cloned()
            .unwrap_or_default(),
        other => other.clone(),
    }
}
