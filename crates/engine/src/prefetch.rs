//! What the target holds, read by pages where that takes fewer requests than asking for one after the other.
//!
//! Nobody knows beforehand how many will be asked for. So they are asked for one by one until that took as many
//! requests as all pages would, and then the pages are read: at worst twice as many requests as was needed.
//!
//! What the pages say is as old as they are, and so it stands for a while only, and for nothing that was written
//! meanwhile. It says who is linked and who is created; a creation that turns out to be a second one is refused
//! by the target, and the target is asked. Nobody loses anything because of a page.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use muster_model::Value;
use muster_model::directory::Kind;
use muster_model::link::TargetId;
use muster_rules::ObjectMapping;
use muster_rules::schema::CompiledSchema;
use parking_lot::Mutex;
use tokio::time::Instant;
use unicode_normalization::UnicodeNormalization;

use crate::gate::Gate;
use crate::port::{Page, TargetObject, Write, is_plain};
use crate::trail;

/// So many are asked for before it is looked how many pages there are.
pub const AFTER: u64 = 16;
/// Objects that are kept at most, about a kilobyte each.
const MOST: u64 = 100_000;
/// So long it stands.
const LASTS: Duration = Duration::from_mins(10);
/// So long it may take to read the pages.
const PATIENCE: Duration = Duration::from_mins(1);
/// So often the target is asked whether it really has nobody of a name.
const CHECKS: u32 = 3;
/// Found objects that are remembered.
const FOUND: usize = 10_000;

/// What is known of a target ahead of being asked for, in one cycle.
#[derive(Debug)]
pub(crate) struct Prefetch {
    users: OfKind,
    groups: OfKind,
}

#[derive(Debug)]
struct OfKind {
    /// Attributes by which objects are matched, those that are plain.
    paths: Vec<String>,
    /// Attributes that refer to others, which may be many.
    references: Vec<String>,
    /// Does the target refuse a second object with the same name, so that "nobody" may be believed?
    is_unique: bool,
    state: Mutex<State>,
    /// Who reads the pages stands here; the others wait.
    door: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Writes that nobody has answered yet.
    under_way: HashMap<Mark, u32>,
    /// Who was found when they were asked for.
    found: HashSet<TargetId>,
    /// What was written since the pages were read, or may have been.
    written: HashSet<Mark>,
    hasher: RandomState,
}

/// A value at an attribute, or an object.
type Mark = u64;

#[derive(Debug)]
enum Stage {
    /// They are asked for one by one, until it is worth more than that.
    Asking {
        asked: u64,
        worth: u64,
    },
    /// Somebody reads the pages, after so many were asked for.
    Reading {
        asked: u64,
    },
    Known(Known),
    /// Too many, or not to be trusted: they are asked for one by one.
    Left,
}

/// All objects of one kind.
#[derive(Debug)]
struct Known {
    objects: Vec<TargetObject>,
    ids: HashSet<TargetId>,
    /// Which of them have a value, by it.
    places: HashMap<Mark, Vec<u32>>,
    /// Attributes that at least one of them shows, and all of those in a way that can be compared.
    shown: HashSet<String>,
    /// How often the target was asked whether it really has nobody of a name.
    checked: u32,
    pages: u64,
    until: Instant,
}

/// What is known of somebody who is looked for.
enum Look {
    /// The objects, if they are known.
    Done(Option<Vec<TargetObject>>),
    /// The pages are to be read first.
    Wait,
}

impl Prefetch {
    /// Nothing is known yet. Pages are looked at after so many were asked for.
    pub(crate) fn new(rules: &CompiledSchema, after: u64) -> Self {
        let of = |mapping: Option<&ObjectMapping>, is_unique| {
            let references = mapping.into_iter().flat_map(ObjectMapping::references);
            let references = references.map(|it| it.target.clone()).collect();
            let matching = mapping.map(ObjectMapping::matching).unwrap_or_default();
            let paths = matching.into_iter().map(|it| it.target.clone());
            OfKind {
                paths: paths.filter(|path| is_plain(path)).collect(),
                references,
                is_unique,
                state: Mutex::new(State {
                    stage: Stage::Asking {
                        asked: 0,
                        worth: after,
                    },
                    under_way: HashMap::new(),
                    found: HashSet::new(),
                    written: HashSet::new(),
                    hasher: RandomState::new(),
                }),
                door: tokio::sync::Mutex::default(),
            }
        };
        Self {
            users: of(Some(&rules.user), true),
            groups: of(rules.group.as_ref(), false),
        }
    }

    const fn of(&self, kind: Kind) -> &OfKind {
        match kind {
            Kind::User => &self.users,
            Kind::Group => &self.groups,
        }
    }

    /// The objects that have this value, as the target would answer; `None` when it must be asked.
    pub(crate) async fn find(
        &self,
        gate: &Gate<'_>,
        kind: Kind,
        path: &str,
        value: &Value,
    ) -> Option<Vec<TargetObject>> {
        let of = self.of(kind);
        if !of.paths.iter().any(|it| it == path) {
            return None;
        }
        loop {
            if let Look::Done(found) = of.state.lock().look(path, value, of.is_unique) {
                return found;
            }
            let _inside = of.door.lock().await;
            // Who was broken off left it to the next one.
            let Some(asked) = of.state.lock().reading() else {
                continue;
            };
            let read = trail::aside(of.read(gate, kind, asked)).await;
            of.state.lock().stage = read;
        }
    }

    /// The target was asked, and found these. Whoever is found and in no page makes all pages doubtful.
    pub(crate) fn saw(&self, kind: Kind, path: &str, value: &Value, found: &[TargetObject]) {
        let mut state = self.of(kind).state.lock();
        let written = state.places(path, value).into_iter();
        let is_written = written.flatten().any(|place| state.is_written(place));
        match &state.stage {
            Stage::Asking { .. } | Stage::Reading { .. } if state.found.len() < FOUND => {
                state.found.extend(found.iter().map(|it| it.id.clone()));
            }
            Stage::Known(known) => {
                let is_missing = |it: &TargetObject| !known.ids.contains(&it.id);
                if !is_written && found.iter().any(is_missing) {
                    state.distrust(kind);
                }
            }
            _ => {}
        }
    }

    /// Are the pages known?
    pub(crate) fn knows(&self, kind: Kind) -> bool {
        matches!(self.of(kind).state.lock().stage, Stage::Known(_))
    }

    /// Something is about to be written: what is known of it is not, until that is answered and after.
    pub(crate) fn writing(&self, kind: Kind, write: &Write<'_>) -> Writing<'_> {
        let of = self.of(kind);
        let mut state = of.state.lock();
        let is_matched = |path: &str| of.paths.iter().any(|it| it == path);
        let marks: Vec<Mark> = match *write {
            Write::Create(values) => values
                .iter()
                .filter(|(path, _)| is_matched(path))
                .filter_map(|(path, value)| state.places(path, value))
                .flatten()
                .collect(),
            Write::Update(id, changes) => changes
                .iter()
                .filter(|it| is_matched(&it.path))
                .filter_map(|it| state.places(&it.path, &it.new))
                .flatten()
                .chain([state.object(id)])
                .collect(),
            Write::Delete(id) => vec![state.object(id)],
            Write::AddReferences(_) | Write::RemoveReferences(_) => Vec::new(),
        };
        for mark in &marks {
            *state.under_way.entry(*mark).or_default() += 1;
        }
        drop(state);
        Writing {
            state: &of.state,
            marks,
            in_doubt: true,
        }
    }

    /// The pages did not show somebody who is there.
    pub(crate) fn mistaken(&self, kind: Kind) {
        self.of(kind).state.lock().distrust(kind);
    }
}

/// A write under way. Dropped, it may have been carried out at any time.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    state: &'a Mutex<State>,
    marks: Vec<Mark>,
    in_doubt: bool,
}

impl Writing<'_> {
    /// It was answered, and will not be carried out later unless that is in doubt.
    pub(crate) fn answered(mut self, in_doubt: bool) {
        self.in_doubt = in_doubt;
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        let stays = self.in_doubt || matches!(state.stage, Stage::Reading { .. } | Stage::Known(_));
        for mark in &self.marks {
            if let Some(count) = state.under_way.get_mut(mark) {
                *count -= 1;
                if *count == 0 {
                    state.under_way.remove(mark);
                }
            }
            if stays {
                state.written.insert(*mark);
            }
        }
    }
}

impl State {
    /// A value at an attribute, as loosely as targets compare: neither case nor the way a letter is composed is a
    /// difference, nor blanks around it, nor whether a number is written as one. `None` when it cannot be compared.
    fn places(&self, path: &str, value: &Value) -> Option<Vec<Mark>> {
        let folded = |text: &str| {
            let text: String = text.trim().nfc().collect();
            self.hasher.hash_one((path, text.to_lowercase()))
        };
        Some(match value {
            Value::Null => Vec::new(),
            Value::Text(text) => vec![folded(text)],
            Value::Int(number) => vec![folded(&number.to_string())],
            Value::Bool(flag) => vec![folded(&flag.to_string())],
            Value::List(items) => {
                let places = items.iter().map(|it| self.places(path, it));
                places.collect::<Option<Vec<_>>>()?.concat()
            }
            Value::Object(_) => return None,
        })
    }

    fn distrust(&mut self, kind: Kind) {
        if matches!(self.stage, Stage::Known(_)) {
            tracing::info!(%kind, "its pages do not show everybody: they are asked for one by one");
            self.stage = Stage::Left;
        }
    }

    fn object(&self, id: &TargetId) -> Mark {
        self.hasher.hash_one(&id.0)
    }

    fn is_written(&self, mark: Mark) -> bool {
        self.written.contains(&mark) || self.under_way.contains_key(&mark)
    }

    const fn reading(&self) -> Option<u64> {
        match self.stage {
            Stage::Reading { asked } => Some(asked),
            Stage::Asking { .. } | Stage::Known(_) | Stage::Left => None,
        }
    }

    fn look(&mut self, path: &str, value: &Value, is_unique: bool) -> Look {
        if let Stage::Known(known) = &self.stage
            && known.until <= Instant::now()
        {
            self.stage = Stage::Asking {
                asked: 0,
                worth: known.pages,
            };
            self.written.clear();
            self.found.clear();
        }
        match &self.stage {
            &Stage::Asking { asked, worth } if asked < worth => {
                let asked = asked + 1;
                self.stage = Stage::Asking { asked, worth };
                Look::Done(None)
            }
            &Stage::Asking { asked, .. } => {
                self.stage = Stage::Reading { asked };
                Look::Wait
            }
            Stage::Reading { .. } => Look::Wait,
            Stage::Known(known) => {
                let found = self.answer(known, path, value);
                let is_nobody = found.as_ref().is_some_and(Vec::is_empty);
                Look::Done(found.filter(|_| !is_nobody || (is_unique && !self.is_to_check())))
            }
            Stage::Left => Look::Done(None),
        }
    }

    /// Is "nobody" still to be checked? A few times, lest the pages leave out a whole sort of objects.
    fn is_to_check(&mut self) -> bool {
        let Stage::Known(known) = &mut self.stage else {
            return true;
        };
        known.checked += 1;
        known.checked <= CHECKS
    }

    /// Any doubt, and the target is asked.
    fn answer(&self, known: &Known, path: &str, value: &Value) -> Option<Vec<TargetObject>> {
        let [place] = self.places(path, value)?[..] else {
            return None;
        };
        if self.is_written(place) {
            return None;
        }
        let Some(numbers) = known.places.get(&place) else {
            let shows = known.objects.is_empty() || known.shown.contains(path);
            return shows.then(Vec::new);
        };
        let found = numbers.iter().map(|it| &known.objects[*it as usize]);
        // Whether a case makes a difference is the target's to say.
        let is_sure = |it: &TargetObject| {
            it.values.get(path) == Some(value) && !self.is_written(self.object(&it.id))
        };
        found.map(|it| is_sure(it).then(|| it.clone())).collect()
    }
}

impl OfKind {
    /// Reads all pages, if that is worth it.
    async fn read(&self, gate: &Gate<'_>, kind: Kind, asked: u64) -> Stage {
        let (mut pages, begun) = (Pages::default(), Instant::now());
        loop {
            if begun.elapsed() > PATIENCE {
                tracing::info!(%kind, "its pages take too long");
                return Stage::Left;
            }
            let page = match gate.page(kind, pages.ids.len() as u64 + 1).await {
                Ok(mut page) => {
                    for object in &mut page.objects {
                        for path in &self.references {
                            object.values.remove(path);
                        }
                    }
                    page
                }
                Err(error) => {
                    tracing::info!(%kind, %error, "it cannot be read by pages");
                    return Stage::Left;
                }
            };
            match pages.take(page) {
                Taken::More { all } if all > asked => return Stage::Asking { asked, worth: all },
                Taken::More { .. } => {}
                Taken::Whole => return self.known(kind, pages, begun),
                Taken::Partial(why) => {
                    tracing::info!(%kind, why, "its pages are not to be trusted");
                    return Stage::Left;
                }
                Taken::TooMany => return Stage::Left,
            }
        }
    }

    fn known(&self, kind: Kind, pages: Pages, begun: Instant) -> Stage {
        let state = self.state.lock();
        let is_missing =
            |id: &&TargetId| !pages.ids.contains(*id) && !state.is_written(state.object(id));
        if state.found.iter().any(|id| is_missing(&id)) {
            tracing::info!(%kind, "its pages do not show whom it found: they are not to be trusted");
            return Stage::Left;
        }
        let (mut places, mut shown) = (HashMap::<Mark, Vec<u32>>::new(), HashSet::new());
        let mut unclear = HashSet::new();
        for (number, object) in (0..).zip(&pages.objects) {
            for path in &self.paths {
                let Some(value) = object.values.get(path).filter(|it| !it.is_empty()) else {
                    continue;
                };
                let Some(found) = state.places(path, value) else {
                    unclear.insert(path);
                    continue;
                };
                if !shown.contains(path) {
                    shown.insert(path.clone());
                }
                for place in found {
                    places.entry(place).or_default().push(number);
                }
            }
        }
        shown.retain(|path| !unclear.contains(path));
        Stage::Known(Known {
            objects: pages.objects,
            ids: pages.ids,
            places,
            shown,
            checked: 0,
            pages: pages.read,
            until: begun + LASTS,
        })
    }
}

/// Pages that were read so far.
#[derive(Debug, Default)]
struct Pages {
    objects: Vec<TargetObject>,
    ids: HashSet<TargetId>,
    total: Option<u64>,
    read: u64,
}

/// What a page is, after those before it.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// There are others; about so many in all.
    More {
        all: u64,
    },
    Whole,
    /// They are not all that there is, or not only that.
    Partial(&'static str),
    TooMany,
}

impl Pages {
    fn take(&mut self, Page { total, objects }: Page) -> Taken {
        self.read += 1;
        if *self.total.get_or_insert(total) != total {
            return Taken::Partial("their number changes while they are read");
        }
        if total > MOST {
            return Taken::TooMany;
        }
        let size = objects.len() as u64;
        for object in objects {
            if !self.ids.insert(object.id.clone()) {
                return Taken::Partial("one is there twice");
            }
            self.objects.push(object);
        }
        match self.objects.len() as u64 {
            held if held > total => Taken::Partial("more are there than it says"),
            held if held == total => Taken::Whole,
            _ if size == 0 => Taken::Partial("fewer are there than it says"),
            _ => Taken::More {
                all: total.div_ceil(size),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(id: u64, name: &str) -> TargetObject {
        let mut values = muster_model::Attributes::new();
        values.set("userName", Value::from(name));
        TargetObject {
            id: TargetId(id.to_string()),
            values,
            absent: Vec::new(),
        }
    }

    fn prefetch() -> Prefetch {
        let of = |path: &str| OfKind {
            paths: vec![path.to_owned()],
            references: Vec::new(),
            is_unique: true,
            state: Mutex::new(State {
                stage: Stage::Left,
                under_way: HashMap::new(),
                found: HashSet::new(),
                written: HashSet::new(),
                hasher: RandomState::new(),
            }),
            door: tokio::sync::Mutex::default(),
        };
        let prefetch = Prefetch {
            users: of("userName"),
            groups: of("displayName"),
        };
        let mut pages = Pages::default();
        assert_eq!(pages.take(page(3, 0..3)), Taken::Whole);
        let known = prefetch.users.known(Kind::User, pages, Instant::now());
        prefetch.users.state.lock().stage = known;
        // The first few times the target is asked nevertheless.
        for _ in 0..CHECKS {
            assert_eq!(found(&prefetch, "nobody"), None);
        }
        prefetch
    }

    /// Who is found by a name; `None` when the target must be asked.
    fn found(prefetch: &Prefetch, name: &str) -> Option<Vec<String>> {
        let look = prefetch
            .users
            .state
            .lock()
            .look("userName", &Value::from(name), true);
        let Look::Done(found) = look else {
            panic!("nobody reads");
        };
        found.map(|found| found.into_iter().map(|it| it.id.0).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_stands_for_a_while() {
        let prefetch = prefetch();
        assert_eq!(found(&prefetch, "user1"), Some(vec!["1".to_owned()]));
        assert_eq!(found(&prefetch, "user3"), Some(Vec::new()));
        // Whether that is the same one is the target's to say.
        assert_eq!(found(&prefetch, "USER1"), None);
        tokio::time::advance(LASTS).await;
        assert_eq!(found(&prefetch, "user1"), None);
    }

    #[tokio::test]
    async fn nothing_is_known_of_what_is_written_meanwhile() {
        let prefetch = prefetch();
        let values = [("userName", Value::from("User3"))];
        let create = prefetch.writing(Kind::User, &Write::Create(&values));
        assert_eq!(found(&prefetch, "user3"), None);
        create.answered(false);
        assert_eq!(found(&prefetch, "user3"), None);
        assert_eq!(found(&prefetch, "user4"), Some(Vec::new()));

        let id = TargetId("1".to_owned());
        let changes = [crate::port::Change {
            path: "userName".to_owned(),
            old: Value::from("user1"),
            new: Value::from("user4"),
            absent: false,
            adds: false,
        }];
        drop(prefetch.writing(Kind::User, &Write::Update(&id, &changes)));
        assert_eq!(found(&prefetch, "user1"), None);
        assert_eq!(found(&prefetch, "user4"), None);
        drop(prefetch.writing(Kind::Group, &Write::Delete(&TargetId("2".to_owned()))));
        assert_eq!(found(&prefetch, "user2"), Some(vec!["2".to_owned()]));
        prefetch
            .writing(Kind::User, &Write::Delete(&TargetId("2".to_owned())))
            .answered(false);
        assert_eq!(found(&prefetch, "user2"), None);
    }

    #[tokio::test]
    async fn what_was_answered_before_the_pages_were_read_is_on_them() {
        let prefetch = prefetch();
        let known = std::mem::replace(&mut prefetch.users.state.lock().stage, Stage::Left);
        let values = [("userName", Value::from("user5"))];
        let write = Write::Create(&values);
        prefetch.writing(Kind::User, &write).answered(false);
        let under_way = [("userName", Value::from("user6"))];
        let under_way = prefetch.writing(Kind::User, &Write::Create(&under_way));
        prefetch.users.state.lock().stage = known;
        assert_eq!(found(&prefetch, "user5"), Some(Vec::new()));
        assert_eq!(found(&prefetch, "user6"), None);
        under_way.answered(false);
        assert_eq!(found(&prefetch, "user6"), None);
    }

    #[tokio::test]
    async fn values_are_compared_as_loosely_as_a_target_does() {
        let prefetch = prefetch();
        let mut pages = Pages::default();
        let mut objects = vec![object(1, "José"), object(2, " Ana "), object(3, "1001")];
        objects[2].values.set("userName", Value::Int(1001));
        assert_eq!(pages.take(Page { total: 3, objects }), Taken::Whole);
        let known = prefetch.users.known(Kind::User, pages, Instant::now());
        prefetch.users.state.lock().stage = known;
        // Perhaps these; the target is asked.
        for name in ["JOSE\u{301}", "ana", "1001"] {
            assert_eq!(found(&prefetch, name), None, "{name}");
        }
        // What cannot be compared tells of nobody.
        let mut pages = Pages::default();
        let mut other = object(1, "x");
        let complex = Value::Object(muster_model::Attributes::new());
        other
            .values
            .set("userName", Value::List(vec![Value::from("x"), complex]));
        let objects = vec![other, object(2, "ben")];
        assert_eq!(pages.take(Page { total: 2, objects }), Taken::Whole);
        let known = prefetch.users.known(Kind::User, pages, Instant::now());
        prefetch.users.state.lock().stage = known;
        assert_eq!(found(&prefetch, "cem"), None);
        assert_eq!(found(&prefetch, "ben"), Some(vec!["2".to_owned()]));
    }

    #[tokio::test]
    async fn pages_that_leave_out_who_was_found_are_not_believed() {
        let prefetch = prefetch();
        let name = Value::from("hidden");
        prefetch.saw(Kind::User, "userName", &name, &[object(1, "user1")]);
        assert!(prefetch.knows(Kind::User));
        prefetch.saw(Kind::User, "userName", &name, &[object(9, "hidden")]);
        assert!(!prefetch.knows(Kind::User));
        // Found before the pages were read.
        prefetch.users.state.lock().stage = Stage::Asking { asked: 1, worth: 1 };
        prefetch.saw(Kind::User, "userName", &name, &[object(9, "hidden")]);
        let mut pages = Pages::default();
        assert_eq!(pages.take(page(3, 0..3)), Taken::Whole);
        let known = prefetch.users.known(Kind::User, pages, Instant::now());
        assert!(matches!(known, Stage::Left));
    }

    fn page(total: u64, ids: std::ops::Range<u64>) -> Page {
        let objects = ids.map(|id| object(id, &format!("user{id}"))).collect();
        Page { total, objects }
    }

    #[track_caller]
    fn check(pages: &[(u64, std::ops::Range<u64>)], last: &Taken) {
        let mut read = Pages::default();
        let mut taken: Vec<Taken> = Vec::new();
        for (total, ids) in pages {
            taken.push(read.take(page(*total, ids.clone())));
        }
        assert_eq!(taken.pop().as_ref(), Some(last));
        assert!(taken.iter().all(|it| matches!(it, Taken::More { .. })));
    }

    #[test]
    fn pages_are_whole_when_they_are_as_many_as_was_said_and_each_is_there_once() {
        check(&[(0, 0..0)], &Taken::Whole);
        check(&[(3, 0..2)], &Taken::More { all: 2 });
        check(&[(3, 0..2), (3, 2..3)], &Taken::Whole);
        // A server that takes no part in paging repeats the first page.
        let partial = Taken::Partial;
        check(&[(3, 0..2), (3, 0..2)], &partial("one is there twice"));
        check(
            &[(3, 0..2), (3, 0..0)],
            &partial("fewer are there than it says"),
        );
        check(&[(1, 0..2)], &partial("more are there than it says"));
        let changes = partial("their number changes while they are read");
        check(&[(4, 0..2), (3, 2..3)], &changes);
        check(&[(MOST + 1, 0..2)], &Taken::TooMany);
    }
}
