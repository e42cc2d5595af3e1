//! An assigned group entitles its members only while it is security-enabled (OM-3), and a change of
//! that arrives by an incremental cycle.

use crate::kill::read_all;
use crate::run::{APP, Server, json, receiver};

#[test]
fn members_lose_and_regain_access_with_their_groups_security_flag() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start(&data, "127.0.0.1:0");
    let import = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let report = json(&data, &["import", file.to_str().unwrap()]);
        assert_eq!(report["failed"], 0, "{report}");
    };
    let group = |enabled: bool| {
        let head = "id,displayName,securityEnabled\n00000002-0000-4000-8000-000000000001,Team,";
        import("groups.csv", &format!("{head}{enabled}\n"));
    };
    import(
        "users.csv",
        "id,userPrincipalName,displayName\n\
         00000001-0000-4000-8000-000000000001,ana@example.test,Ana\n",
    );
    group(true);
    import(
        "memberships.csv",
        "groupId,memberId,memberType\n\
         00000002-0000-4000-8000-000000000001,00000001-0000-4000-8000-000000000001,user\n",
    );
    let (url, token) = receiver(&data);
    json(&data, &["app", "add", APP]);
    json(&data, &["app", "assign", APP, "--group", "Team"]);
    let credentials = ["--tenant-url", &url, "--secret-token", &token];
    json(
        &data,
        &[&["app", "credentials", APP][..], &credentials].concat(),
    );
    let active = || {
        json(&data, &["job", "run", APP]);
        read_all(&url, &token, "Users")[0]["active"].clone()
    };
    assert_eq!(active(), true);
    group(false);
    assert_eq!(active(), false);
    group(true);
    assert_eq!(active(), true);
}
