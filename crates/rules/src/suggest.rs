//! "Did you mean …": the known name closest to an unknown one.

/// Names longer than this are not compared; nobody mistypes that much.
const MAX_CHARS: usize = 80;

/// The candidate that differs least from `name`, if it is near enough to be what was meant.
pub(crate) fn closest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = folded(name);
    if wanted.is_empty() || wanted.len() > MAX_CHARS {
        return None;
    }
    let limit = (wanted.len() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let known = folded(candidate);
            if known.len() > MAX_CHARS || known.len().abs_diff(wanted.len()) > limit {
                return None;
            }
            let distance = distance(&wanted, &known);
            (distance <= limit).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn folded(name: &str) -> Vec<char> {
    name.chars()
        .take(MAX_CHARS + 1)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Insertions, deletions and replacements that turn one text into the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[track_caller]
    fn check(name: &str, want: Option<&str>) {
        let known = ["Append", "Join", "IIF", "IsNullOrEmpty"];
        assert_eq!(closest(name, known), want, "{name}");
    }

    #[test]
    fn a_near_miss_finds_its_name_and_a_stranger_finds_none() {
        check("Apend", Some("Append"));
        check("iif", Some("IIF"));
        check("IsNullorEmpty", Some("IsNullOrEmpty"));
        check("Frobnicate", None);
        check("", None);
    }
}
