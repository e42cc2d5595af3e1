//! The groups of the sample: everyone, one for each department, one for each office, projects.

use serde_json::{Map, Value};

use super::ascii::ascii_of;
use super::names::{LANGUAGES, Place};
use super::organisation::{ADJECTIVES, DEPARTMENTS, NOUNS};
use super::random::{Random, Topic};
use super::{Record, Sample};

/// What a group is for. The order of the groups follows from it.
pub(super) enum Purpose {
    Everyone,
    /// The people of a department, by its position.
    Department(usize),
    Office(&'static Place),
    Project,
}

impl Purpose {
    pub(super) fn of(index: u32) -> Self {
        let Some(index) = (index as usize).checked_sub(1) else {
            return Self::Everyone;
        };
        let Some(office) = index.checked_sub(DEPARTMENTS.len()) else {
            return Self::Department(index);
        };
        let mut places = LANGUAGES.iter().flat_map(|language| language.places);
        places.nth(office).map_or(Self::Project, Self::Office)
    }
}

pub(super) fn group_id(seed: u64, index: u32) -> String {
    Random::new(seed, Topic::GroupId, index).guid()
}

pub(super) fn group(sample: &Sample, index: u32) -> Map<String, Value> {
    let mut random = Random::new(sample.seed, Topic::Group, index);
    let (name, rule) = match Purpose::of(index) {
        Purpose::Everyone => ("All Users".to_owned(), "user.objectId -ne null".to_owned()),
        Purpose::Department(position) => {
            let name = DEPARTMENTS[position].name;
            (
                format!("Dept - {name}"),
                format!("user.department -eq \"{name}\""),
            )
        }
        Purpose::Office(place) => (format!("Office - {}", place.city), String::new()),
        Purpose::Project => {
            let adjective = random.pick_word(ADJECTIVES);
            let noun = random.pick_word(NOUNS);
            (format!("{adjective} {noun} {index}"), String::new())
        }
    };
    let unified = rule.is_empty() && random.one_in(4);
    let nick = nickname(&name, index);

    let mut group = Record::default();
    group.text("id", group_id(sample.seed, index));
    group.text("displayName", name.as_str());
    if !random.one_in(3) {
        group.text(
            "description",
            format!("Members of {name}; owner: identity team"),
        );
    }
    group.text("mailNickname", nick.as_str());
    if unified {
        group.text("mail", format!("{nick}@{}", sample.domain));
    }
    group.flag("mailEnabled", unified);
    group.flag("securityEnabled", !unified);
    if unified {
        group.list("groupTypes", vec!["Unified".to_owned()]);
    } else if !rule.is_empty() {
        group.list("groupTypes", vec!["DynamicMembership".to_owned()]);
    }
    group.text("membershipRule", rule);
    group.text("createdDateTime", random.date(2015, 2025) + "T09:00:00Z");
    group.0
}

/// A mail nickname that starts with the position of the group, so that it is unique.
fn nickname(name: &str, index: u32) -> String {
    let spelling: String = ascii_of(&name.replace(' ', "-")).chars().take(30).collect();
    let nick = format!("g{index:05}-{}", spelling.trim_matches('-'));
    nick.trim_end_matches('-').to_owned()
}
