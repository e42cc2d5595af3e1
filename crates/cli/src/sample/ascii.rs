//! Sign-in spellings: names in letters that every mail system accepts.

use unicode_normalization::UnicodeNormalization as _;

/// The lower-case ASCII spelling of a name, empty where its script has none.
pub(super) fn ascii_of(name: &str) -> String {
    let mut latin = String::with_capacity(name.len());
    for letter in name.chars() {
        match spelling(letter) {
            Some(spelling) => latin.push_str(spelling),
            None => latin.push(letter),
        }
    }
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let ascii: String = latin
        .nfkd()
        .flat_map(char::to_lowercase)
        .filter(kept)
        .collect();
    ascii.trim_matches(['.', '-']).to_owned()
}

/// The Latin spelling of letters that Unicode does not decompose as sign-in names need it.
fn spelling(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ø' | 'Ø' => "o",
        'ł' | 'Ł' => "l",
        'ß' => "ss",
        'æ' | 'Æ' => "ae",
        'đ' | 'Đ' | 'ð' => "d",
        'ı' | 'İ' => "i",
        'þ' | 'Þ' => "th",
        'œ' => "oe",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::ascii_of;

    #[track_caller]
    fn check(name: &str, want: &str) {
        assert_eq!(ascii_of(name), want);
    }

    #[test]
    fn diacritics_are_dropped() {
        check("Łukasz Żółkowski", "lukaszzolkowski");
        check("İbrahim", "ibrahim");
        check("Lefe\u{300}vre", "lefevre");
    }

    #[test]
    fn dots_and_hyphens_stay_inside_a_name_only() {
        check("St.-John", "st.-john");
        check("-Wiki.", "wiki");
        check("O'Brien", "obrien");
    }

    #[test]
    fn other_scripts_have_no_spelling() {
        check("佐藤", "");
        check("Смирнова", "");
    }
}
