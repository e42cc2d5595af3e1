use proptest::prelude::*;

use super::Pattern;

#[track_caller]
fn check(pattern: &str, text: &str, replacement: &str, want: &str) {
    let pattern = Pattern::new(pattern).unwrap();
    assert_eq!(pattern.replace_all(text, replacement).unwrap(), want);
}

#[track_caller]
fn check_whole(pattern: &str, text: &str, want: bool) {
    let compiled = Pattern::whole(pattern).unwrap();
    assert_eq!(
        compiled.is_match(text).unwrap(),
        want,
        "{pattern} on {text}"
    );
}

#[track_caller]
fn check_refused(pattern: &str, want: &str) {
    let problem = Pattern::new(pattern).unwrap_err().to_string();
    assert!(problem.contains(want), "{pattern}: {problem}");
}

#[test]
fn every_match_is_replaced_and_empty_ones_behind_others_count() {
    check("[0-9]*", "a1b", "-", "-a--b-");
    check("(.*?)$", "abc", "x", "xx");
    check("x", "ä", "-", "ä");
    check("", "äö", "-", "-ä-ö-");
}

#[test]
fn replacements_refer_to_groups_by_number_and_name() {
    check("(?<a>x)(y)", "xy", "$1$2", "yx"); // unnamed groups are numbered first
    check("(a)(b)?", "a", "[$2$1]", "[a]");
    check("(a)", "ba", "${nope}$9$$", "b${nope}$9$");
    check("b", "abc", "<$`$&$'$_>", "a<abcabc>c");
    check("(a)(b)", "ab", "$+", "b");
    check("(?'q'a)", "a", "${q}!", "a!");
    check("(a)", "a", "$10-${10}-$1", "$10-${10}-a");
}

#[test]
fn punctuation_is_literal_where_the_engine_sees_operators() {
    check(r"\<b\>", "<b>", "x", "x");
    check(r"[\/\:\<\>]", "a/b:c<d>", "", "abcd");
    check(r"[[a]", "[a", "x", "xx");
    check(r"[a&&b]", "a&b", "x", "xxx");
    check(r"[()\s-]+", "+1 (999) 888-7777", "", "+19998887777");
    check("{x}", "a{x}", "", "a");
    check("[]a]", "]a", "x", "xx");
    check(r"[\w-]", "a-b", "x", "xxx");
}

#[test]
fn anchors_and_options_follow_dotnet() {
    check("a$", "a\n", "x", "x\n");
    check(r"a\z", "a\n", "x", "a\n");
    check("(?m)^a$", "a\na", "x", "x\nx");
    check("(?i)CONTOSO", "Contoso", "x", "x");
    check("(?i:A)b", "ab aB", "x", "x aB");
    check("(?x) a b # comment", "ab", "x", "x");
    check("a(?#note)b", "ab", "x", "x");
    check("(?n)(a)(?<k>b)", "ab", "$1", "b");
    check("a.b", "a\nb", "x", "a\nb");
    check("(?s)a.b", "a\nb", "x", "x");
}

#[test]
fn lookaround_atomic_groups_conditions_and_references_work() {
    check("(?<=[a-z]+)1", "ab1", "x", "abx");
    check("a(?!b)", "ab ac", "x", "ab xc");
    check("(?>a+)b", "aab", "x", "x");
    check(r"(?<k>a|b)\k<k>", "aa ab", "x", "x ab");
    check(r"(a)(?<n>b)\2\1", "abba", "x", "x");
    check("(a)?(?(1)b|c)", "ab c", "x", "x x");
    check("[a-z-[aeiou]]", "abe", "x", "axe");
    check("[^a-c-[d]]", "ade", "x", "adx");
    check(r"\p{Lu}", "aB", "x", "ax");
    check(r"\x41\u0042\103", "ABC", "x", "x");
}

#[test]
fn a_whole_pattern_covers_the_value() {
    check_whole("([1-9][0-9])", "55", true);
    check_whole("([1-9][0-9])", "155", false);
    check_whole("a|ab", "ab", true);
    check_whole(r".*\@domain.com", "ann@domain.com", true);
    check_whole("^a$", "a", true);
    check_whole("a", "a\n", false);
}

#[test]
fn a_group_is_replaced_and_the_rest_of_the_match_survives() {
    let pattern = Pattern::new(r"@(?<host>\w+)\.com").unwrap();
    let replaced = pattern
        .replace_group("a@b.com c@d.com", "host", "$x")
        .unwrap();
    assert_eq!(replaced, "a@$x.com c@$x.com");
    assert_eq!(pattern.first_group("a@b.com", "host").unwrap(), Some("b"));
    assert!(pattern.has_group("host") && !pattern.has_group("nobody"));
}

#[test]
fn what_is_not_known_is_refused() {
    check_refused("(a", "without");
    check_refused("a)", "without");
    check_refused("[a", "without");
    check_refused("*a", "nothing to repeat");
    check_refused("a**", "nothing to repeat");
    check_refused("a++", "nothing to repeat");
    check_refused(r"\q", "not supported");
    check_refused(r"\", "backslash");
    check_refused("(?<a-b>x)", "balancing");
    check_refused(r"(a)\2", "no group");
    check_refused("a{1001}", "repetitions");
    check_refused("[z-a]", "backwards");
    check_refused(&"(".repeat(60), "deeper");
}

#[test]
fn a_costly_pattern_gives_up() {
    let pattern = Pattern::new(r"((a+)+)+\2b").unwrap();
    let text = "a".repeat(60);
    assert!(pattern.is_match(&text).is_err());
}

#[test]
fn groups_are_counted_past_comments_classes_and_conditions() {
    check("(?#()[(](a)", "(a", "$1", "a");
    check("(?x)(a) # (b)\n(c)", "ac", "$2", "c");
    check(r"\((a)", "(a", "$1", "a");
    check("(?:(a))", "a", "<$1>", "<a>");
    check("[]()](a)", "(a", "$1", "a");
    check("[a-z-[(]](b)", "ab", "$1", "b");
}

proptest! {
    #[test]
    fn no_pattern_and_no_value_makes_it_fall_over(
        pattern in r"[ab\\(){}\[\]^$.|?*+<>=!:'imnsx#kdwpu0-9,-]{0,24}",
        text in any::<String>(),
        replacement in r"[a$`'&+_{}0-9]{0,8}",
    ) {
        for compiled in [Pattern::new(&pattern), Pattern::whole(&pattern)].into_iter().flatten() {
            let _ = compiled.is_match(&text);
            let _ = compiled.replace_all(&text, &replacement);
            let _ = compiled.first_group(&text, "1");
        }
    }

    #[test]
    fn any_text_with_its_punctuation_escaped_is_found_as_it_is(text in any::<String>()) {
        let escaped: String = text
            .chars()
            .flat_map(|c| {
                let escape = c.is_ascii_punctuation() && c != '_';
                escape.then_some('\\').into_iter().chain(std::iter::once(c))
            })
            .collect();
        prop_assert!(Pattern::whole(&escaped).unwrap().is_match(&text).unwrap(), "{}", escaped);
    }
}
