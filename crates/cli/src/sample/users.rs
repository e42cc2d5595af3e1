//! The people of the sample: names, sign-in names, a manager tree, guests, disabled accounts.

use std::collections::HashMap;

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use super::ascii::ascii_of;
use super::names::{LANGUAGES, Language, Order};
use super::organisation::{DEPARTMENTS, EXECUTIVE_OFFICE, LEVELS};
use super::random::{Random, Topic};
use super::{Record, Sample};

/// The first users lead the organisation: none of them is a guest or disabled.
const LEADERS: u32 = 60;

/// The users one after the other. Only the nicknames already taken are kept.
pub(super) struct Users<'a> {
    sample: &'a Sample,
    next: u32,
    taken: HashMap<Box<str>, u32>,
}

impl<'a> Users<'a> {
    pub(super) fn new(sample: &'a Sample) -> Self {
        Self {
            sample,
            next: 0,
            taken: HashMap::new(),
        }
    }

    /// The wanted name for the first who asks, then with a number.
    fn nickname(&mut self, wanted: String) -> String {
        if let Some(count) = self.taken.get_mut(wanted.as_str()) {
            *count += 1;
            return format!("{wanted}{count}");
        }
        self.taken.insert(wanted.as_str().into(), 1);
        wanted
    }
}

impl Iterator for Users<'_> {
    type Item = Map<String, Value>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        if index >= self.sample.users {
            return None;
        }
        self.next += 1;
        let mut person = Person::new(self.sample.seed, index);
        let title = person.title(self.sample.users);
        let wanted = person.wanted_nickname();
        let nick = self.nickname(wanted);
        Some(person.describe(&self.sample.domain, title, nick))
    }
}

pub(super) fn user_id(seed: u64, index: u32) -> String {
    Random::new(seed, Topic::UserId, index).guid()
}

/// The position of the department that the user belongs to. Guests belong to none.
pub(super) fn department_of(seed: u64, index: u32) -> Option<usize> {
    if is_guest(seed, index) {
        return None;
    }
    Some(Person::new(seed, index).department)
}

fn is_guest(seed: u64, index: u32) -> bool {
    index > LEADERS && Random::new(seed, Topic::Guest, index).one_in(50)
}

/// A tree in which each manager has about seven reports. Guests manage nobody.
fn manager_of(seed: u64, index: u32) -> Option<u32> {
    let mut manager = index.checked_sub(1)? / 7;
    if index > LEADERS {
        let shift = Random::new(seed, Topic::Manager, index).below(3);
        manager = manager.saturating_sub(shift as u32);
    }
    while is_guest(seed, manager) {
        manager -= 1; // ends above zero: the leaders are no guests
    }
    Some(manager)
}

/// What the first numbers of a user's stream decide, with the stream for the rest.
///
/// The order in which numbers are drawn is part of the format: another order is another sample.
struct Person {
    seed: u64,
    index: u32,
    guest: bool,
    random: Random,
    language: &'static Language,
    given: String,
    family: String,
    department: usize,
}

impl Person {
    fn new(seed: u64, index: u32) -> Self {
        let mut random = Random::new(seed, Topic::User, index);
        let language = &LANGUAGES[random.pick_weighted(LANGUAGES.iter().map(|l| l.weight))];
        let mut given = random.pick_word(language.given).to_owned();
        let mut family = random.pick_word(language.family).to_owned();
        if random.one_in(40) {
            given = format!("{given} {}", random.pick_word(language.given));
        }
        if random.one_in(300) {
            family.clear();
        }
        if random.one_in(500) {
            // The same text in the other Unicode form, as some sources hold it.
            given = given.nfd().collect();
            family = family.nfd().collect();
        }
        let department = match index {
            0 => EXECUTIVE_OFFICE,
            _ => random.pick_weighted(DEPARTMENTS.iter().map(|d| d.weight)),
        };
        Self {
            seed,
            index,
            guest: is_guest(seed, index),
            random,
            language,
            given,
            family,
            department,
        }
    }

    fn title(&mut self, users: u32) -> String {
        let department = &DEPARTMENTS[self.department];
        match self.index {
            0 => "Chief Executive Officer".to_owned(),
            1..8 => format!("Vice President, {}", department.name),
            index if index < LEADERS && index < users / 10 => {
                format!("Director, {}", department.name)
            }
            _ => {
                let level = self.random.pick(LEVELS);
                format!("{level}{}", self.random.pick(department.roles))
            }
        }
    }

    /// Given and family name, or the country with a number for scripts without a Latin spelling.
    fn wanted_nickname(&mut self) -> String {
        let (given, family) = (ascii_of(&self.given), ascii_of(&self.family));
        if given.is_empty() || (family.is_empty() && !self.family.is_empty()) {
            let country = self.language.usage_location.to_lowercase();
            return format!("{country}.{:05x}", self.random.below(1 << 20));
        }
        if family.is_empty() {
            return given;
        }
        format!("{given}.{family}")
    }

    fn display_name(&self) -> String {
        let Self { given, family, .. } = self;
        match self.language.order {
            Order::GivenFirst => format!("{given} {family}").trim().to_owned(),
            Order::FamilyFirst => format!("{family} {given}"),
            Order::Joined => format!("{family}{given}"),
        }
    }

    /// The sign-in name and the mail address, which may be empty.
    fn addresses(&mut self, nick: &str, domain: &str) -> (String, String) {
        let random = &mut self.random;
        if self.guest {
            let mail = format!("{nick}@partner{}.example.net", random.below(9));
            return (format!("{}#EXT#@{domain}", mail.replace('@', "_")), mail);
        }
        let sign_in = if random.one_in(25) {
            format!("{}@{domain}", capitalised(nick))
        } else {
            format!("{nick}@{domain}")
        };
        let mail = if random.one_in(60) {
            String::new()
        } else if random.one_in(12) {
            format!("{nick}@mail.{domain}")
        } else {
            format!("{nick}@{domain}")
        };
        (sign_in, mail)
    }

    fn describe(mut self, domain: &str, title: String, nick: String) -> Map<String, Value> {
        let (sign_in, mail) = self.addresses(&nick, domain);
        let Self {
            seed,
            index,
            guest,
            language,
            department,
            ..
        } = self;
        let department = DEPARTMENTS[department].name;
        let mut display = self.display_name();
        let random = &mut self.random;
        let place = random.pick(language.places);
        if random.one_in(70) {
            display = format!("{display} ({department})");
        }

        let mut user = Record::default();
        user.text("id", user_id(seed, index));
        user.text("userPrincipalName", sign_in);
        user.text("displayName", display);
        user.text("givenName", self.given);
        user.text("surname", self.family);
        user.text("mail", mail.as_str());
        user.text("mailNickname", nick.as_str());
        if random.one_in(15) {
            user.list("otherMails", vec![format!("{nick}@home.example.org")]);
        }
        if !mail.is_empty() && !guest {
            let mut proxies = vec![format!("SMTP:{mail}")];
            if random.one_in(6) {
                proxies.push(format!("smtp:{nick}@old.{domain}"));
            }
            user.list("proxyAddresses", proxies);
        }
        if guest {
            user.text("companyName", "Partner GmbH & Co. KG");
        } else {
            user.text("jobTitle", title);
            user.text("department", department);
            user.text("companyName", "Fjordlight, Inc.");
            user.text("employeeId", format!("{:07}", 100_000 + u64::from(index)));
            let contractor = random.one_in(12);
            user.text(
                "employeeType",
                if contractor { "Contractor" } else { "Employee" },
            );
            user.text("employeeHireDate", random.date(2004, 2025) + "T00:00:00Z");
        }
        user.flag("accountEnabled", !(index > LEADERS && random.one_in(33)));
        user.text("userType", if guest { "Guest" } else { "Member" });
        if let Some(manager) = manager_of(seed, index).filter(|_| !guest) {
            user.text("manager", user_id(seed, manager));
        }
        telephones(&mut user, random, language.phone);
        if !guest {
            let (building, floor) = (1 + random.below(4), 1 + random.below(9));
            let room = random.below(40);
            user.text(
                "officeLocation",
                format!("{}/{building}/{floor}{room:02}", place.city),
            );
        }
        let house = 1 + random.below(180);
        user.text(
            "streetAddress",
            place.street.replace("%d", &house.to_string()),
        );
        user.text("city", place.city);
        user.text("state", place.state);
        user.text("postalCode", random.digits(place.postal_code));
        user.text("country", language.country);
        user.text("usageLocation", language.usage_location);
        user.text("preferredLanguage", language.preferred);
        if !guest {
            let account: String = nick.chars().filter(|c| *c != '.').take(20).collect();
            user.text("onPremisesSamAccountName", account);
        }
        if random.one_in(2) {
            user.text(
                "extensionAttribute1",
                format!("CC-{:04}", random.below(500)),
            );
        }
        let day = random.date(2015, 2025);
        let (hour, minute) = (random.below(24), random.below(60));
        user.text(
            "createdDateTime",
            format!("{day}T{hour:02}:{minute:02}:00Z"),
        );
        user.0
    }
}

fn telephones(user: &mut Record, random: &mut Random, prefix: &str) {
    let number = |random: &mut Random| format!("{prefix} {:04}", random.below(10_000));
    if !random.one_in(4) {
        user.text("mobilePhone", number(random));
    }
    if !random.one_in(3) {
        let mut business = vec![number(random)];
        if random.one_in(9) {
            business.push(format!("ext. {}", random.below(9999)));
        }
        user.list("businessPhones", business);
    }
    if random.one_in(20) {
        user.text("faxNumber", number(random));
    }
}

/// The name with a capital letter at the start of each of its parts.
fn capitalised(nick: &str) -> String {
    let part = |part: &str| match part.split_at_checked(1) {
        Some((first, rest)) => first.to_uppercase() + rest,
        None => String::new(),
    };
    nick.split('.').map(part).collect::<Vec<_>>().join(".")
}
