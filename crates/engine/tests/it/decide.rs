//! The decision table (5.3) and the event table (5.5).

use muster_engine::decide::{Cause, Current, Matched, Need};
use muster_engine::port::{Life, Record};
use muster_engine::scope::Policy;
use muster_model::Value;
use muster_model::directory::Kind;
use muster_model::job::{Departure, Leaving};
use muster_model::link::{LinkState, TargetId};
use muster_rules::scope::{ClauseText, FilterText, ScopingFilters};
use muster_rules::{Apply, AttributeMapping, Expression, MappingSource, ObjectMapping};

use crate::seen::{Look, NOW, POLICY, Word, ana, at_target, link, rules, team};

#[track_caller]
fn check(look: Look, expected: &Word) {
    assert_eq!(look.decide(&rules().user), *expected);
}

fn unlinked(record: Record, matched: Option<Matched>) -> Look {
    Look {
        record: Some(record),
        matched,
        ..Look::default()
    }
}

fn linked(record: Record, state: LinkState, current: Option<Current>) -> Look {
    let link = Some(link(Kind::User, state));
    Look {
        record: Some(record),
        link,
        current,
        ..Look::default()
    }
}

fn changed(change: impl FnOnce(&mut Record)) -> Record {
    let mut record = ana();
    change(&mut record);
    record
}

#[test]
fn an_unlinked_object_in_scope_is_matched_then_created_or_taken_over() {
    // 5.3, CY-1, CY-2
    check(unlinked(ana(), None), &Word::Need(Need::Match));
    check(unlinked(ana(), Some(Matched::Nobody)), &Word::Create);
    let equal = Matched::One(at_target(&[]));
    check(unlinked(ana(), Some(equal)), &Word::Equal);
    let other = Matched::One(at_target(&[("displayName", Value::from("Anna"))]));
    check(
        unlinked(ana(), Some(other)),
        &Word::Update(vec!["displayName".to_owned()]),
    );
}

#[test]
fn ambiguous_matches_fail() {
    // 6.6
    check(
        unlinked(ana(), Some(Matched::Several)),
        &Word::Fail("DuplicateTargetEntries"),
    );
    let taken = Matched::Taken(TargetId("t9".to_owned()));
    check(
        unlinked(ana(), Some(taken)),
        &Word::Fail("DuplicateSourceEntries"),
    );
}

#[test]
fn an_unlinked_object_out_of_scope_is_skipped_and_never_touched() {
    // 5.3, CY-3; silence about those who were never assigned
    let disabled = changed(|record| record.life = Life::Disabled);
    check(
        unlinked(disabled, None),
        &Word::Skip("NotEffectivelyEntitled"),
    );
    let unassigned = changed(|record| record.grants.clear());
    check(unlinked(unassigned, None), &Word::Nothing);
    check(Look::default(), &Word::Nothing);
}

#[test]
fn a_linked_object_is_read_and_only_differences_are_sent() {
    let managed = LinkState::Managed;
    check(linked(ana(), managed, None), &Word::Need(Need::Read));
    let same = Some(Current::There(at_target(&[])));
    check(linked(ana(), managed, same), &Word::Equal);
    let other = at_target(&[("name.givenName", Value::from("Anna"))]);
    let update = Word::Update(vec!["name.givenName".to_owned()]);
    check(linked(ana(), managed, Some(Current::There(other))), &update);
}

#[test]
fn a_null_source_value_never_clears_the_target() {
    // AM-1, 17.4
    let title = at_target(&[("title", Value::from("Engineer"))]);
    check(
        linked(ana(), LinkState::Managed, Some(Current::There(title))),
        &Word::Equal,
    );
}

/// The default mappings, one of them changed.
fn with(target: &str, change: impl FnOnce(&mut AttributeMapping)) -> ObjectMapping {
    let mut mapping = rules().user;
    let found = mapping.attributes.iter_mut().find(|it| it.target == target);
    change(found.unwrap());
    mapping
}

#[test]
fn what_is_for_creation_only_is_not_evaluated_later() {
    // 3.2, `ObjectAddOnly`: an expression that fails by now fails nobody's update.
    let mapping = with("title", |title| {
        title.source = MappingSource::Expression(Expression::parse("Item([x], 5)").unwrap());
        title.apply = Apply::OnlyDuringCreation;
    });
    let same = Some(Current::There(at_target(&[])));
    let look = linked(ana(), LinkState::Managed, same);
    assert_eq!(look.decide(&mapping), Word::Equal);
}

#[test]
fn what_always_flows_goes_along_with_what_differs() {
    // 3.2, `FlowAlways`
    let mapping = with("displayName", |name| name.flow_always = true);
    let managed = |object| linked(ana(), LinkState::Managed, Some(Current::There(object)));
    assert_eq!(managed(at_target(&[])).decide(&mapping), Word::Equal);
    let other = at_target(&[("name.givenName", Value::from("Anna"))]);
    assert_eq!(
        managed(other).decide(&mapping),
        Word::Update(vec!["name.givenName".to_owned(), "displayName".to_owned()])
    );
}

#[test]
fn what_is_only_added_leaves_alone_what_the_target_has_besides() {
    // 3.2, `MultiValueAddOnly`
    let mapping = with("title", |titles| {
        titles.multi_valued = true;
        titles.apply = Apply::MultiValueAddOnly;
        titles.source = MappingSource::Attribute("titles".to_owned());
    });
    let list = |items: &[&str]| Value::List(items.iter().copied().map(Value::from).collect());
    let decide = |old: &[&str], new: &[&str]| {
        let record = changed(|record| record.attributes.set("titles", list(new)));
        let object = at_target(&[("title", list(old))]);
        linked(record, LinkState::Managed, Some(Current::There(object))).decide(&mapping)
    };
    assert_eq!(decide(&["a", "b"], &["b"]), Word::Equal);
    assert_eq!(decide(&["a"], &[]), Word::Equal);
    assert_eq!(
        decide(&["a"], &["b"]),
        Word::Update(vec!["title".to_owned()])
    );
}

#[test]
fn a_changed_membership_alone_costs_no_request_for_a_managed_user() {
    let look = Look {
        cause: Some(Cause::Entitlement),
        ..linked(ana(), LinkState::Managed, None)
    };
    check(look, &Word::Nothing);
}

#[test]
fn a_linked_object_that_is_gone_at_the_target_is_matched_again() {
    // CY-5, section 15, 14
    let gone = || linked(ana(), LinkState::Managed, Some(Current::Missing));
    check(gone(), &Word::Need(Need::Match));
    check(
        Look {
            matched: Some(Matched::Nobody),
            ..gone()
        },
        &Word::Create,
    );
}

/// Sends `active: false`, and the link has this state afterwards.
fn disable(state: LinkState) -> Word {
    Word::Disable(vec![("active".to_owned(), Value::Bool(false))], state)
}

#[test]
fn leaving_scope_disables_and_says_whether_a_purge_still_deletes() {
    // 5.5, 17.3
    let managed = |record| linked(record, LinkState::Managed, None);
    let unassigned = changed(|record| record.grants.clear());
    check(managed(unassigned), &disable(LinkState::Released));
    let disabled = changed(|record| record.life = Life::Disabled);
    check(managed(disabled), &disable(LinkState::Disabled));
    let deleted = changed(|record| record.life = Life::SoftDeleted);
    check(managed(deleted), &disable(LinkState::Disabled));
}

#[test]
fn a_second_reason_to_leave_sends_nothing_more() {
    // 17.3: disable, then soft-delete
    let deleted = changed(|record| record.life = Life::SoftDeleted);
    check(linked(deleted, LinkState::Disabled, None), &Word::Nothing);
    let unassigned = changed(|record| record.grants.clear());
    check(
        linked(unassigned.clone(), LinkState::Released, None),
        &Word::Nothing,
    );
    check(
        linked(unassigned, LinkState::Disabled, None),
        &Word::Leave(LinkState::Released),
    );
}

#[test]
fn a_purge_deletes_what_was_managed_and_forgets_what_was_released() {
    // 5.5, CY-14, 17.3
    let purged = |state| Look {
        link: Some(link(Kind::User, state)),
        ..Look::default()
    };
    check(purged(LinkState::Managed), &Word::Delete);
    check(purged(LinkState::Disabled), &Word::Delete);
    check(purged(LinkState::Released), &Word::Forget);
    let mut without_delete = rules().user;
    without_delete.actions.delete = false;
    assert_eq!(
        purged(LinkState::Managed).decide(&without_delete),
        Word::Forget
    );
}

/// Each row of the event table for each choice that a job has (5.5; CY-11 has none).
#[test]
fn what_leaving_does_is_a_choice_for_each_cause() {
    let leaving = |unassigned, disabled, deleted| Policy {
        leaving: Leaving {
            unassigned,
            disabled,
            deleted,
            grace_seconds: 0,
        },
        ..POLICY
    };
    let look = |record: &Record, state, policy| Look {
        policy: Some(policy),
        ..linked(record.clone(), state, None)
    };
    let unassigned = changed(|record| record.grants.clear());
    let disabled = changed(|record| record.life = Life::Disabled);
    let deleted = changed(|record| record.life = Life::SoftDeleted);
    let both = changed(|record| {
        record.life = Life::Disabled;
        record.grants.clear();
    });
    use Departure::{Delete, Disable, Leave};
    use LinkState::{Disabled, Managed, Released};
    for (record, state, policy, expected) in [
        (
            &unassigned,
            Managed,
            leaving(Delete, Disable, Disable),
            Word::Delete,
        ),
        (
            &unassigned,
            Managed,
            leaving(Leave, Disable, Disable),
            Word::Leave(Released),
        ),
        (
            &unassigned,
            Managed,
            leaving(Disable, Delete, Delete),
            disable(Released),
        ),
        (
            &disabled,
            Managed,
            leaving(Disable, Delete, Disable),
            Word::Delete,
        ),
        (
            &disabled,
            Managed,
            leaving(Disable, Leave, Disable),
            Word::Leave(Disabled),
        ),
        (
            &disabled,
            Managed,
            leaving(Delete, Disable, Delete),
            disable(Disabled),
        ),
        (
            &deleted,
            Managed,
            leaving(Disable, Disable, Delete),
            Word::Delete,
        ),
        (
            &deleted,
            Managed,
            leaving(Disable, Disable, Leave),
            Word::Leave(Disabled),
        ),
        // Unassigned weighs more than disabled.
        (&both, Managed, leaving(Delete, Leave, Leave), Word::Delete),
        // Disabled before for another reason.
        (
            &deleted,
            Disabled,
            leaving(Disable, Disable, Delete),
            Word::Delete,
        ),
        (
            &unassigned,
            Disabled,
            leaving(Delete, Disable, Disable),
            Word::Delete,
        ),
        (
            &disabled,
            Disabled,
            leaving(Disable, Disable, Delete),
            Word::Nothing,
        ),
        // Not managed any more (5.5).
        (
            &deleted,
            Released,
            leaving(Delete, Delete, Delete),
            Word::Nothing,
        ),
    ] {
        check(look(record, state, policy), &expected);
    }
    // What is not deleted by the mapping is not deleted by a choice (CY-14).
    let mut without_delete = rules().user;
    without_delete.actions.delete = false;
    let all = leaving(Delete, Delete, Delete);
    assert_eq!(
        look(&unassigned, Managed, all).decide(&without_delete),
        Word::Leave(Released)
    );
    // SkipOutOfScopeDeletions goes before it (5.6), and is about out of scope alone.
    let skip = Policy {
        skip_out_of_scope_deletions: true,
        ..all
    };
    check(look(&unassigned, Managed, skip), &Word::Leave(Released));
    check(look(&deleted, Managed, skip), &Word::Delete);
}

#[test]
fn a_grace_disables_before_it_deletes() {
    // 5.5; a choice that the reference has not
    let graced = |grace_seconds| Policy {
        leaving: Leaving {
            unassigned: Departure::Delete,
            grace_seconds,
            ..Leaving::default()
        },
        ..POLICY
    };
    let look = |record: Record, state, grace: u32, ago: i64| {
        let mut look = linked(record, state, None);
        look.policy = Some(graced(grace));
        look.link.as_mut().unwrap().since = NOW.plus_seconds(-ago);
        look
    };
    use LinkState::{Disabled, Leaving as Left, Managed, Released};
    let unassigned = || changed(|record| record.grants.clear());
    check(look(unassigned(), Managed, 60, 999), &disable(Left));
    check(look(unassigned(), Left, 60, 59), &Word::Nothing);
    check(look(unassigned(), Left, 60, 60), &Word::Delete);
    check(look(unassigned(), Left, 0, 1), &Word::Delete);
    // It has its grace also when it was disabled before.
    check(look(unassigned(), Disabled, 60, 999), &Word::Leave(Left));
    check(look(unassigned(), Released, 60, 999), &Word::Nothing);
    // Another cause, which deletes nothing: assigned again, and disabled.
    let disabled = changed(|record| record.life = Life::Disabled);
    check(look(disabled, Left, 60, 99), &Word::Leave(Disabled));
    // Whoever comes back has the account again, also when only the assignment changed.
    let back = Look {
        cause: Some(Cause::Entitlement),
        ..look(ana(), Left, 60, 99)
    };
    check(back, &Word::Need(Need::Read));
    // Gone for good: that was their grace.
    let purged = Look {
        record: None,
        ..look(ana(), Left, 60, 0)
    };
    check(purged, &Word::Delete);
    // Nothing disables it: then nobody keeps an account that should be none.
    let unable = with("active", |active| active.source = MappingSource::None);
    assert_eq!(
        look(unassigned(), Managed, 60, 0).decide(&unable),
        Word::Delete
    );
}

#[test]
fn coming_back_into_scope_reuses_the_link() {
    // 5.5, last row
    let inactive = at_target(&[("active", Value::Bool(false))]);
    let back = linked(ana(), LinkState::Released, Some(Current::There(inactive)));
    check(back, &Word::Update(vec!["active".to_owned()]));
}

#[test]
fn the_skip_flag_and_a_missing_update_action_leave_the_account_alone() {
    // 5.6, 3.3
    let unassigned = changed(|record| record.grants.clear());
    let skip = Policy {
        skip_out_of_scope_deletions: true,
        ..POLICY
    };
    let look = Look {
        policy: Some(skip),
        ..linked(unassigned.clone(), LinkState::Managed, None)
    };
    check(look, &Word::Leave(LinkState::Released));
    let mut without_update = rules().user;
    without_update.actions.update = false;
    let look = linked(unassigned, LinkState::Managed, None);
    assert_eq!(
        look.decide(&without_update),
        Word::Leave(LinkState::Released)
    );
}

#[test]
fn without_a_mapping_of_is_soft_deleted_nothing_is_disabled() {
    // CY-9
    let mut mapping = rules().user;
    mapping
        .attributes
        .retain(|attribute| attribute.target != "active");
    let disabled = changed(|record| record.life = Life::Disabled);
    let look = linked(disabled, LinkState::Managed, None);
    assert_eq!(look.decide(&mapping), Word::Leave(LinkState::Disabled));
}

#[test]
fn no_failing_mapping_keeps_anybody_from_being_disabled() {
    let mut mapping = rules().user;
    let broken =
        |text: &str| MappingSource::Expression(Expression::parse(text).expect("an expression"));
    let set = |mapping: &mut ObjectMapping, target: &str, source: MappingSource| {
        let mut all = mapping.attributes.iter_mut();
        all.find(|it| it.target == target).expect(target).source = source;
    };
    let left = || {
        linked(
            changed(|it| it.life = Life::Disabled),
            LinkState::Managed,
            None,
        )
    };
    set(
        &mut mapping,
        "displayName",
        broken("CStr(CDate([displayName]))"),
    );
    assert_eq!(left().decide(&mapping), disable(LinkState::Disabled));
    // What says whether it is disabled fails itself: told, and tried again.
    set(
        &mut mapping,
        "active",
        broken("IIF([IsSoftDeleted], CDate([displayName]), \"True\")"),
    );
    assert_eq!(
        left().decide(&mapping),
        Word::Fail("AttributeValidationFailed")
    );
}

#[test]
fn actions_that_are_off_are_not_taken() {
    // 3.3
    let mut mapping = rules().user;
    mapping.actions.create = false;
    let look = unlinked(ana(), Some(Matched::Nobody));
    assert_eq!(
        look.decide(&mapping),
        Word::Skip("EntrySynchronizationSkipped")
    );
    mapping.actions.update = false;
    let other = Matched::One(at_target(&[("displayName", Value::from("Anna"))]));
    // It is linked, and nobody says that both sides are equal.
    let decided = unlinked(ana(), Some(other)).decide(&mapping);
    assert_eq!(decided, Word::Leave(LinkState::Managed));
}

#[test]
fn a_required_value_that_is_missing_fails_the_object() {
    // AM-3
    let mut mapping = rules().user;
    for attribute in &mut mapping.attributes {
        attribute.required = attribute.target == "title";
    }
    let look = unlinked(ana(), Some(Matched::Nobody));
    assert_eq!(look.decide(&mapping), Word::Fail("MissingValues"));
}

#[test]
fn a_group_that_leaves_scope_is_deleted() {
    // CY-15
    let mapping = rules().group.unwrap();
    let mut unassigned = team();
    unassigned.grants.clear();
    let look = || Look {
        record: Some(unassigned.clone()),
        link: Some(link(Kind::Group, LinkState::Managed)),
        ..Look::default()
    };
    assert_eq!(look().decide(&mapping), Word::Delete);
    let mut without_delete = mapping;
    without_delete.actions.delete = false;
    assert_eq!(
        look().decide(&without_delete),
        Word::Leave(LinkState::Released)
    );
}

#[test]
fn equal_values_are_compared_by_type_and_case_rule() {
    // section 15, 8
    let text = at_target(&[("active", Value::from("True"))]);
    check(
        linked(ana(), LinkState::Managed, Some(Current::There(text))),
        &Word::Equal,
    );
}

/// The default mappings, for those of one department.
fn of_sales(operator: &str) -> ObjectMapping {
    let clause = ClauseText {
        attribute: "department".to_owned(),
        operator: operator.to_owned(),
        values: vec!["Sales".to_owned()],
        ..ClauseText::default()
    };
    let filter = FilterText {
        title: "Sales".to_owned(),
        clauses: vec![clause],
        ..FilterText::default()
    };
    ObjectMapping {
        filters: ScopingFilters::compile(&[filter]).unwrap(),
        ..rules().user
    }
}

#[test]
fn who_fails_the_scoping_filter_is_disabled_and_not_looked_after_any_more() {
    // 5.5, 4.1, OM-10: also when everybody is in scope
    let mapping = of_sales("EQUALS");
    let sells = || changed(|it| it.attributes.set("department", "Sales"));
    let all = Policy {
        scope: muster_model::job::Scope::All,
        ..POLICY
    };
    for policy in [POLICY, all] {
        let look = |record: Record, state: Option<LinkState>| Look {
            record: Some(record),
            link: state.map(|state| link(Kind::User, state)),
            policy: Some(policy),
            ..Look::default()
        };
        let managed = Some(LinkState::Managed);
        assert_eq!(
            look(sells(), None).decide(&mapping),
            Word::Need(Need::Match)
        );
        let out = Word::Skip("NotEffectivelyEntitled");
        assert_eq!(look(ana(), None).decide(&mapping), out);
        assert_eq!(
            look(ana(), managed).decide(&mapping),
            disable(LinkState::Released)
        );
        // The other way round, and back again.
        assert_eq!(
            look(sells(), Some(LinkState::Released)).decide(&mapping),
            Word::Need(Need::Read)
        );
    }
}

#[test]
fn what_cannot_be_updated_is_deleted_all_the_same_when_it_is_gone() {
    // 17.3, row 5: soft-deleted with Update off, then purged
    let mut mapping = rules().user;
    mapping.actions.update = false;
    let deleted = changed(|record| record.life = Life::SoftDeleted);
    let look = linked(deleted, LinkState::Managed, None);
    assert_eq!(look.decide(&mapping), Word::Leave(LinkState::Disabled));
    let purged = Look {
        link: Some(link(Kind::User, LinkState::Disabled)),
        ..Look::default()
    };
    assert_eq!(purged.decide(&mapping), Word::Delete);
}

#[test]
fn cy_10_what_says_who_has_left_may_be_another_attribute() {
    let mut mapping = rules().user;
    mapping.attributes.retain(|it| it.target != "active");
    let title = mapping
        .attributes
        .iter_mut()
        .find(|it| it.target == "title");
    let text = "Switch([IsSoftDeleted], \"here\", \"True\", \"gone\")";
    title.unwrap().source = MappingSource::Expression(Expression::parse(text).unwrap());
    let unassigned = changed(|record| record.grants.clear());
    let look = linked(unassigned, LinkState::Managed, None);
    let set = vec![("title".to_owned(), Value::from("gone"))];
    assert_eq!(
        look.decide(&mapping),
        Word::Disable(set, LinkState::Released)
    );
}
