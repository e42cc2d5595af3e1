//! The known name that somebody probably meant.

/// Names longer than this are nobody's slip of the finger.
const LONGEST: usize = 64;

/// The known name nearest to `wanted`, when it is near enough to be meant. Case costs nothing.
pub(crate) fn nearest<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = letters(wanted);
    if wanted.is_empty() || wanted.len() > LONGEST {
        return None;
    }
    let bound = (wanted.len() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(&wanted, &letters(name)), name))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn letters(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text
        .trim()
        .to_lowercase()
        .chars()
        .take(LONGEST + 1)
        .collect();
    // `user principal name` and `job_title` are the same words as the property.
    letters.retain(|letter| !matches!(letter, ' ' | '_' | '-'));
    letters
}

/// How many letters must be put in, taken out or replaced (Levenshtein).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KNOWN: [&str; 3] = ["userPrincipalName", "displayName", "mail"];

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        for slip in [
            "userPrincpalName",
            "UserPrincipalName",
            "user principal name",
        ] {
            assert_eq!(nearest(slip, KNOWN), Some("userPrincipalName"), "{slip}");
        }
        assert_eq!(nearest("mial", KNOWN), None);
        assert_eq!(nearest("e-mail", KNOWN), Some("mail"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("favouriteColour", KNOWN), None);
        assert_eq!(nearest("", KNOWN), None);
        assert_eq!(nearest(&"x".repeat(10_000), KNOWN), None);
    }
}
