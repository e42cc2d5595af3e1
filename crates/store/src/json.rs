//! Attributes as JSON text, the form in which the database keeps them.

use muster_model::{Attributes, Value};
use serde_json::Value as Json;

/// Appends a value as JSON.
pub(crate) fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Text(text) => print_text(text, out),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                print(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => print_object(members, out),
    }
}

fn print_object(members: &Attributes, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        print_text(name, out);
        out.push(':');
        print(value, out);
    }
    out.push('}');
}

/// Appends a JSON string.
pub(crate) fn print_text(text: &str, out: &mut String) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Json::from(text).to_string());
    }
}

/// Attributes as the text of a JSON object.
pub fn attributes_to_json(attributes: &Attributes) -> String {
    let mut out = String::with_capacity(attributes.len() * 32);
    print_object(attributes, &mut out);
    out
}

/// A JSON value as a model value; numbers with a fraction become text.
pub(crate) fn value_from_json(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(flag),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Text(number.to_string()), Value::Int),
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(value_from_json).collect()),
        Json::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| (name, value_from_json(value)))
                .collect(),
        ),
    }
}

/// The text of a JSON object as attributes.
pub fn attributes_from_json(text: &str) -> Result<Attributes, serde_json::Error> {
    let members: serde_json::Map<String, Json> = serde_json::from_str(text)?;
    Ok(members
        .into_iter()
        .map(|(name, value)| (name, value_from_json(value)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_survive_the_way_through_json() {
        let mut attributes = Attributes::new();
        attributes.set("displayName", "Zoë \"Z\" \u{1F600}");
        attributes.set("accountEnabled", true);
        attributes.set(
            "otherMails",
            vec![Value::from("a@b.example"), Value::from("")],
        );
        let text = attributes_to_json(&attributes);
        assert_eq!(attributes_from_json(&text).unwrap(), attributes);
    }
}
