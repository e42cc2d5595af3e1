//! A plain directory for measurements: every mapped attribute has a value, users of about 1 kB.

use std::fmt::Write as _;

/// How many of each.
pub(crate) struct People {
    pub(crate) users: usize,
    pub(crate) groups: usize,
    /// Memberships of each user.
    pub(crate) memberships: usize,
}

impl People {
    /// Six memberships a user, as in the sample.
    pub(crate) fn new(users: usize) -> Self {
        Self {
            users,
            groups: 50 + users / 50,
            memberships: 6,
        }
    }

    pub(crate) fn user_id(number: usize) -> String {
        format!("10000000-0000-4000-8000-{number:012x}")
    }

    pub(crate) fn group_id(number: usize) -> String {
        format!("20000000-0000-4000-8000-{number:012x}")
    }

    pub(crate) fn name(number: usize) -> String {
        format!("given{number}.family{number}@fjordlight.example")
    }

    pub(crate) fn users_csv(&self) -> String {
        let mut text = String::from(
            "id,userPrincipalName,displayName,givenName,surname,mail,mailNickname,jobTitle,\
             department,employeeId,accountEnabled,manager,mobilePhone,businessPhones,faxNumber,\
             officeLocation,streetAddress,city,state,postalCode,country,preferredLanguage\n",
        );
        for n in 0..self.users {
            let manager = if n == 0 {
                String::new()
            } else {
                Self::user_id((n - 1) / 7)
            };
            let _ = writeln!(
                text,
                "{},{},Given{n} Family{n},Given{n},Family{n},{},given{n}.family{n},Engineer,\
                 Engineering,{n:07},true,{manager},+47 900 {n:05},+47 22 55 {n:05},+47 22 56 {n:05},\
                 Oslo/{},Karl Johans gate {},Oslo,Oslo,{:04},Norway,nb-NO",
                Self::user_id(n),
                Self::name(n),
                Self::name(n),
                n % 40,
                n % 180,
                n % 10_000
            );
        }
        text
    }

    pub(crate) fn groups_csv(&self) -> String {
        let mut text = String::from("id,displayName,securityEnabled\n");
        for n in 0..self.groups {
            let _ = writeln!(text, "{},Group {n},true", Self::group_id(n));
        }
        text
    }

    /// The first group holds everybody, the others a part each.
    pub(crate) fn memberships_csv(&self) -> String {
        let mut text = String::from("groupId,memberId,memberType\n");
        let others = self.groups - 1;
        for n in 0..self.users {
            let _ = writeln!(text, "{},{},user", Self::group_id(0), Self::user_id(n));
            for k in 1..self.memberships {
                let group = 1 + (n * 31 + k * 17) % others;
                let _ = writeln!(text, "{},{},user", Self::group_id(group), Self::user_id(n));
            }
        }
        text
    }
}
