//! Assignments that reach nested groups: whatever changes between the assigned group and a user is noticed by
//! the next cycle, and nothing needs a restart.

use std::sync::Arc;

use muster_app::applications;

use super::quietly;
use super::world::Member::{Person, Team};
use super::world::World;

async fn active(world: &Arc<World>, people: usize) -> Vec<usize> {
    world.cycle_now().await.unwrap().unwrap();
    let is_active = |number: &usize| world.is_active(*number) == Some(true);
    (0..people).filter(is_active).collect()
}

#[test]
fn whatever_changes_in_nested_groups_is_seen_by_the_next_cycle() {
    quietly(|world| async move {
        world.fill(4).await;
        world.assigned_only().await;
        for team in 0..4 {
            world.found(team).await;
            world.put_into(team, Person(team), true).await;
        }
        // The first holds the second, that the third, and that the first again; the fourth is alone.
        for team in 0..3 {
            world.put_into(team, Team((team + 1) % 3), true).await;
        }
        world.assign_nested(0, true).await;
        assert_eq!(active(&world, 4).await, [0, 1, 2]);
        // A group joins deep below, with whom it has.
        world.put_into(2, Team(3), true).await;
        assert_eq!(active(&world, 4).await, [0, 1, 2, 3]);
        let included = applications::included(&world.ctx, "Team 0", true, 2).await;
        let included = included.unwrap();
        assert_eq!(
            (included.count, included.immediate, included.nested),
            (4, 1, 3)
        );
        assert_eq!(included.users.len(), 2);
        let immediate = applications::included(&world.ctx, "Team 0", false, 9).await;
        assert_eq!(immediate.unwrap().count, 1);
        // Somebody leaves a nested group, and is back.
        world.put_into(3, Person(3), false).await;
        assert_eq!(active(&world, 4).await, [0, 1, 2]);
        world.put_into(3, Person(3), true).await;
        assert_eq!(active(&world, 4).await, [0, 1, 2, 3]);
        // A group in between is deleted; another one takes its place.
        world.delete_team(1).await;
        assert_eq!(active(&world, 4).await, [0]);
        world.put_into(0, Team(2), true).await;
        assert_eq!(active(&world, 4).await, [0, 2, 3]);
        // A group leaves another one, and the assignment goes before anybody has looked.
        world.put_into(0, Team(2), false).await;
        world.assign_nested(0, false).await;
        assert_eq!(active(&world, 4).await, [0_usize; 0]);
    });
}
