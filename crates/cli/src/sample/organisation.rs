//! The organisation of the sample: departments with their roles, and the words of group names.

/// A department, how many of a hundred people work there, and as what.
pub(super) struct Department {
    pub(super) name: &'static str,
    pub(super) weight: u64,
    pub(super) roles: &'static [&'static str],
}

const fn department(name: &'static str, weight: u64, roles: &'static [&'static str]) -> Department {
    Department {
        name,
        weight,
        roles,
    }
}

pub(super) const DEPARTMENTS: &[Department] = &[
    department(
        "Engineering",
        22,
        &[
            "Software Engineer",
            "Test Engineer",
            "Site Reliability Engineer",
            "Mechanical Engineer",
        ],
    ),
    department(
        "Sales",
        14,
        &[
            "Account Manager",
            "Sales Representative",
            "Solutions Consultant",
        ],
    ),
    department(
        "Customer Support",
        12,
        &["Support Specialist", "Support Engineer"],
    ),
    department(
        "Operations",
        12,
        &[
            "Operations Analyst",
            "Logistics Planner",
            "Warehouse Associate",
        ],
    ),
    department(
        "Finance",
        7,
        &["Accountant", "Controller", "Payroll Specialist"],
    ),
    department("Human Resources", 5, &["HR Partner", "Recruiter"]),
    department(
        "Marketing",
        6,
        &["Marketing Manager", "Content Writer", "Brand Designer"],
    ),
    department("Legal", 3, &["Legal Counsel", "Paralegal"]),
    department(
        "Research & Development",
        8,
        &["Scientist", "Research Assistant"],
    ),
    department(
        "IT",
        6,
        &[
            "Systems Administrator",
            "Identity Engineer",
            "Help Desk Technician",
        ],
    ),
    department("Field Service", 4, &["Field Technician"]),
    department(
        "Executive Office",
        1,
        &["Chief of Staff", "Executive Assistant"],
    ),
];

/// Where the head of the organisation works.
pub(super) const EXECUTIVE_OFFICE: usize = DEPARTMENTS.len() - 1;

/// Prefixes of job titles; what stands here twice is twice as common.
pub(super) const LEVELS: &[&str] = &["", "", "", "Senior ", "Senior ", "Lead ", "Principal "];

/// First words of the names of project groups.
pub(super) const ADJECTIVES: &str = "\
    Blue Nordic Apollo Quartz Émeraude Zürich 東京 Atlas Ñandú Orion Café Łódź Delta Phoenix \
    Sigma";

/// Second words of the names of project groups.
pub(super) const NOUNS: &str = "\
    Project Rollout Migration Taskforce Programme Audit Pilot Launch Équipe 委員会 Wiki Runbook \
    Readers Writers Admins Approvers";
