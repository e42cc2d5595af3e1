//! The paths that a mapping may write to (3.5 of the behaviour reference).

/// Says why a text is none of: `attribute`, `attribute.sub`, `attribute[type eq "t"].sub`, each with the URN
/// of its schema in front or not.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let path = text
        .get(..4)
        .filter(|start| start.eq_ignore_ascii_case("urn:"))
        .and_then(|_| behind_urn(text))
        .unwrap_or(text);
    let (attribute, rest) = name(path)?;
    if ["meta", "schemas"]
        .iter()
        .any(|own| attribute.eq_ignore_ascii_case(own))
    {
        return Err("the target sets it itself");
    }
    let rest = match rest.strip_prefix('[') {
        Some(filter) => element(filter)?,
        None => rest,
    };
    match rest.strip_prefix('.') {
        None if rest.is_empty() => Ok(()),
        None => Err("only `.` and the name of a part can follow here"),
        Some(rest) => match name(rest)? {
            (_, "") => Ok(()),
            _ => Err("it goes deeper than an attribute and its part"),
        },
    }
}

/// What follows the URN; a filter may hold colons, so it ends before one.
fn behind_urn(text: &str) -> Option<&str> {
    let end = text.find('[').unwrap_or(text.len());
    let colon = text[..end].rfind(':')?;
    Some(&text[colon + 1..])
}

/// A name and what follows it.
fn name(text: &str) -> Result<(&str, &str), &'static str> {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$');
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "_-$".contains(c)))
        .unwrap_or(text.len());
    if begins {
        Ok(text.split_at(end))
    } else {
        Err("a name is missing, which begins with a letter")
    }
}

/// `type eq "work"]`: which element is meant; answers what follows.
fn element(filter: &str) -> Result<&str, &'static str> {
    const FORM: &str = "an element is named like `[type eq \"work\"]`";
    let (_, rest) = name(filter.trim_start()).map_err(|_| FORM)?;
    let rest = rest.trim_start();
    let operator = rest.get(..2).filter(|it| it.eq_ignore_ascii_case("eq"));
    let value = operator.map(|_| rest[2..].trim_start()).ok_or(FORM)?;
    let rest = match value.strip_prefix('"') {
        Some(text) => text.split_once('"').ok_or(FORM)?.1,
        None => value
            .strip_prefix("true")
            .or_else(|| value.strip_prefix("false"))
            .ok_or(FORM)?,
    };
    rest.trim_start().strip_prefix(']').ok_or(FORM)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_forms_of_the_reference_are_paths() {
        for path in [
            "userName",
            "name.givenName",
            "emails[type eq \"work\"].value",
            "roles[primary eq \"True\"].value",
            "emails[primary eq true].value",
            "addresses[type eq \"work\"]",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
            "urn:ietf:params:scim:schemas:extension:x:2.0:User:y[type eq \"a:b\"].z",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn anything_else_is_none_and_says_why() {
        for (path, why) in [
            ("", "name"),
            ("..", "name"),
            ("a b c", "only"),
            ("name.a.b.c", "deeper"),
            ("emails[type eq \"work\"", "element"),
            ("emails[type eq \"work\"].", "name"),
            ("[type eq \"x\"].v", "name"),
            ("emails[type xx \"work\"].value", "element"),
            ("emails[type eq work].value", "element"),
            ("meta.created", "itself"),
            ("schemas", "itself"),
            ("urn:x:2.0:User:", "name"),
        ] {
            let said = check(path).unwrap_err();
            assert!(said.contains(why), "{path}: {said}");
        }
    }
}
