//! The codes by which the log says why something was not done, and what each asks for (10.3, 10.6).

/// Whose failure it is (10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Of the provisioning service.
    Failure,
    /// Of the target, the source, or what somebody set.
    NonServiceFailure,
    /// None: nothing was to be done.
    Success,
}

impl Category {
    /// The word of 10.2.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::NonServiceFailure => "nonServiceFailure",
            Self::Success => "success",
        }
    }
}

/// A code of an event, a cycle or a quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its name.
    pub name: &'static str,
    /// Whose failure it is.
    pub category: Category,
    /// The likely cause, and ways out of it.
    pub advice: &'static str,
}

impl Code {
    /// Can whoever runs the job do something about it? What a target does to everybody passes by itself.
    pub fn is_actionable(&self) -> bool {
        let passes = [
            "TooManyRequests",
            "InternalServerError",
            "ServiceUnavailable",
            "Timeout",
        ];
        self.category == Category::NonServiceFailure && !passes.contains(&self.name)
    }
}

/// The code with this name.
pub fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.name == name)
}

const fn theirs(name: &'static str, advice: &'static str) -> Code {
    Code {
        name,
        category: Category::NonServiceFailure,
        advice,
    }
}

const fn ours(name: &'static str, advice: &'static str) -> Code {
    Code {
        name,
        category: Category::Failure,
        advice,
    }
}

const fn none(name: &'static str, advice: &'static str) -> Code {
    Code {
        name,
        category: Category::Success,
        advice,
    }
}

/// All of them.
pub const CODES: &[Code] = &[
    theirs(
        "Conflict",
        "A value must be unique at the target and somebody else has it, or an account is there that should have \
         been matched. Change the value, or match by the attribute that the account has.",
    ),
    theirs(
        "TooManyRequests",
        "The target throttles. It is tried again by itself; if it goes on, allow fewer requests a second \
         (muster job dialect --per-second).",
    ),
    theirs(
        "InternalServerError",
        "The target failed. It is tried again by itself; if it goes on, ask whoever runs the target, with the \
         request (muster log exchanges).",
    ),
    theirs(
        "ServiceUnavailable",
        "The target does nothing but fail. The job looks again by itself, less and less often; once the target is \
         back: muster job start.",
    ),
    theirs(
        "InsufficientRights",
        "The target knows the credentials and does not let them do this. Give their account administrator rights \
         at the target, or use the credentials of one that has them.",
    ),
    theirs(
        "Unauthorized",
        "The target does not accept the credentials: they are wrong, expired or revoked. Get new ones from the \
         target and save them (muster app credentials).",
    ),
    theirs(
        "MethodNotAllowed",
        "The target does not know this kind of request. Find out what it can do (muster app probe), and set the dialect \
         of the job accordingly (muster job dialect).",
    ),
    theirs(
        "NotPermitted",
        "The connection is not allowed by the settings of this service. Check the tenant URL, or allow such \
         connections when the service is started.",
    ),
    theirs(
        "UnprocessableEntity",
        "The target refused what was sent. Read what it says and look at the request (muster log exchanges); change \
         the mapping, or the configuration of the target.",
    ),
    theirs(
        "WebExceptionProtocolError",
        "No connection to the target, or it broke off. It is tried again by itself; check the tenant URL, the network \
         and the target's certificate.",
    ),
    theirs(
        "InvalidAnchor",
        "The object to which it was linked is gone at the target. It is matched or created anew while it is in scope; drop the \
         link yourself with muster link drop.",
    ),
    theirs(
        "NotImplemented",
        "The target does not do what was asked of it. Find out what it can do (muster app probe), and set the dialect of \
         the job accordingly (muster job dialect).",
    ),
    theirs(
        "MandatoryFieldsMissing",
        "The target wants a value that was not sent. Fill it in the source, or map it with a default value.",
    ),
    theirs(
        "MissingValues",
        "A required attribute has no value. Fill it in the source, or give its mapping a default value.",
    ),
    theirs(
        "SchemaAttributeNotFound",
        "The target does not know an attribute that is mapped. Correct its name in the mapping, or take the mapping \
         out.",
    ),
    theirs(
        "InvalidDomain",
        "The target does not accept the domain of a value. Change the value, or have the domain allowed at the \
         target.",
    ),
    theirs(
        "LicenseLimitExceeded",
        "The target has no licence left. Buy more of them there, or assign the application to fewer people.",
    ),
    theirs(
        "Timeout",
        "The target is too slow. It is tried again by itself; allow it more time (muster job dialect --timeout).",
    ),
    theirs(
        "DuplicateTargetEntries",
        "Several objects at the target match. Remove the duplicates there, or match by another attribute.",
    ),
    theirs(
        "DuplicateSourceEntries",
        "Several objects of the source match the same object at the target. Make the matching value unique in the \
         source, or match by another attribute.",
    ),
    theirs(
        "SystemForCrossDomainIdentityManagementMultipleEntriesInResponse",
        "The target was asked for one object and answered with a list. It does not follow SCIM (RFC 7644, 3.4.1); ask \
         whoever runs it to mend that.",
    ),
    theirs(
        "SystemForCrossDomainIdentityManagementServiceIncompatible",
        "The target's answer is not SCIM. Check the path of the tenant URL and what stands before the target, and look \
         at the answer (muster log exchanges).",
    ),
    theirs(
        "AttributeValidationFailed",
        "A mapping or a filter has no result for this object. Correct the value in the source, or the mapping; try it \
         with muster explain.",
    ),
    theirs(
        "UnableToResolveReferenceAttributeValue",
        "A manager or a member has no account at the target. It is set by itself once that is provisioned.",
    ),
    theirs(
        "TooManyDeletes",
        "A cycle would take away more than the guard of the job allows. Look at it (muster job held), then let it go \
         (muster job allow), or undo the cause.",
    ),
    theirs(
        "EncounteredEscrowProportionThreshold",
        "Too large a share of all objects fails. See what they have in common (muster log list --status failure), \
         mend it, and start the job.",
    ),
    theirs(
        "EncounteredBaseEscrowThreshold",
        "Too many objects fail. See what they have in common (muster log list --status failure), mend it, and start \
         the job.",
    ),
    theirs(
        "EncounteredTotalEscrowThreshold",
        "Too many objects and references fail. See what they have in common (muster log list --status failure), mend \
         it, and start the job.",
    ),
    theirs(
        "NotPlanned",
        "It is not in the plan that was applied: something changed since. Plan again.",
    ),
    theirs(
        "InvalidMappings",
        "The mappings of the job do not compile. Check them (muster schema check), or roll back (muster schema \
         rollback).",
    ),
    theirs(
        "NotConfigured",
        "There are no credentials yet. Save them: muster app credentials.",
    ),
    theirs(
        "Refused",
        "The state of the job does not allow it; the message says what to do.",
    ),
    theirs(
        "Moved",
        "What the plan rests on has changed since it was made. Plan again.",
    ),
    ours(
        "InternalError",
        "This service failed. It is tried again by itself; if it goes on, look at its own log, and at its database \
         with muster check.",
    ),
    ours(
        "Interrupted",
        "The cycle was interrupted, and goes on from there when the job runs again.",
    ),
    none(
        "ImportSkipped",
        "The object has no matching value, which says nothing about its scope. Fill the value in the source, or match \
         by another attribute.",
    ),
    none(
        "EntrySynchronizationSkipped",
        "It was read, and there is nothing to do.",
    ),
    none(
        "NotEffectivelyEntitled",
        "It is not in scope. See what would bring it in: muster explain.",
    ),
    none("RedundantExport", "Both sides are equal already."),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{CODES, find};

    #[test]
    fn each_code_is_told_once_and_says_what_to_do() {
        let names: HashSet<&str> = CODES.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), CODES.len());
        for code in CODES {
            assert!(code.advice.ends_with('.'), "{}", code.name);
            assert_eq!(find(code.name), Some(code));
        }
        assert_eq!(find("Nonsense"), None);
        // Each reason of 6.3 is known.
        for (failed, references, well) in [(5_000, 0, 0), (40_001, 0, 1_000_000), (0, 60_001, 0)] {
            let reason = crate::job::too_many_fail(failed, references, well).unwrap();
            assert!(find(reason).is_some(), "{reason}");
        }
    }
}
