//! The table of all operations.

use http::Method;

use crate::route::{Right, Route};
use crate::{
    applications, assignments, batch, deleted, delta, demand, groups, logs, openapi, schema,
    secrets, synchronization, templates, users,
};

macro_rules! routes {
    ($($method:ident $path:literal $right:ident $handler:path: $does:literal),+ $(,)?) => {
        static ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            path: $path,
            right: Right::$right,
            does: $does,
            answer: |call| Box::pin($handler(call)),
        }),+];
    };
}

/// All of them. Of two that fit the first counts: what is spelt out stands before what is in braces.
pub(crate) fn all() -> &'static [Route] {
    ROUTES
}

routes! {
    POST "/$batch" Any batch::run: "Several requests in one",
    GET "/openapi.json" Any openapi::get: "Read this description",

    GET "/users" ReadUsers users::list: "List users",
    POST "/users" WriteUsers users::create: "Create a user",
    GET "/users/$count" ReadUsers users::count: "How many users there are",
    GET "/users/delta" ReadUsers delta::users: "List what has changed of users",
    GET "/users/{id}" ReadUsers users::get: "Read a user",
    PATCH "/users/{id}" WriteUsers users::update: "Change a user",
    DELETE "/users/{id}" WriteUsers users::delete: "Delete a user, who can be restored",
    GET "/users/{id}/manager" ReadUsers users::manager: "Read a user's manager",
    PUT "/users/{id}/manager/$ref" WriteUsers users::set_manager: "Set a user's manager",
    DELETE "/users/{id}/manager/$ref" WriteUsers users::remove_manager: "Remove a user's manager",
    GET "/users/{id}/directReports" ReadUsers users::reports: "List who reports to a user",
    GET "/users/{id}/memberOf" ReadGroups users::member_of: "List the groups of a user",
    GET "/users/{id}/memberOf/group" ReadGroups users::member_of: "List the groups of a user",
    GET "/users/{id}/transitiveMemberOf" ReadGroups users::transitive_member_of: "List the groups of a user, nested ones too",
    GET "/users/{id}/transitiveMemberOf/group" ReadGroups users::transitive_member_of: "List the groups of a user, nested ones too",
    POST "/users/{id}/getMemberGroups" ReadGroups users::member_groups: "List the ids of the groups of a user",

    GET "/groups" ReadGroups groups::list: "List groups",
    POST "/groups" WriteGroups groups::create: "Create a group",
    GET "/groups/$count" ReadGroups groups::count: "How many groups there are",
    GET "/groups/delta" ReadGroups delta::groups: "List what has changed of groups",
    GET "/groups/{id}" ReadGroups groups::get: "Read a group",
    PATCH "/groups/{id}" WriteGroups groups::update: "Change a group",
    DELETE "/groups/{id}" WriteGroups groups::delete: "Delete a group for good",
    GET "/groups/{id}/members" ReadGroups groups::members: "List the members of a group",
    GET "/groups/{id}/members/$count" ReadGroups groups::count_members: "How many members a group has",
    GET "/groups/{id}/members/$ref" ReadGroups groups::member_references: "List the addresses of the members of a group",
    POST "/groups/{id}/members/$ref" WriteGroups groups::add_member: "Add a member to a group",
    DELETE "/groups/{id}/members/$ref" WriteGroups groups::remove_member_by_url: "Remove a member, named by its address, from a group",
    GET "/groups/{id}/members/user" ReadGroups groups::members_of_type: "List the users who are members of a group",
    GET "/groups/{id}/members/group" ReadGroups groups::members_of_type: "List the groups that are members of a group",
    DELETE "/groups/{id}/members/{member}/$ref" WriteGroups groups::remove_member: "Remove a member from a group",
    GET "/groups/{id}/transitiveMembers" ReadGroups groups::transitive_members: "List the members of a group, nested ones too",
    GET "/groups/{id}/memberOf" ReadGroups groups::member_of: "List the groups of a group",
    GET "/groups/{id}/transitiveMemberOf" ReadGroups groups::transitive_member_of: "List the groups of a group, nested ones too",
    GET "/groups/{id}/owners" ReadGroups groups::owners: "List the owners of a group",

    GET "/directory/deletedItems" ReadUsers deleted::without_type: "Needs a type",
    GET "/directory/deletedItems/user" ReadUsers deleted::users: "List deleted users",
    GET "/directory/deletedItems/group" ReadGroups deleted::groups: "List deleted groups",
    GET "/directory/deletedItems/{id}" ReadUsers deleted::get: "Read a deleted user",
    POST "/directory/deletedItems/{id}/restore" WriteUsers deleted::restore: "Restore a deleted user",
    DELETE "/directory/deletedItems/{id}" WriteUsers deleted::purge: "Delete a user for good",
    GET "/directoryObjects/{id}" ReadDirectory deleted::object: "Read a user or a group",
    POST "/directoryObjects/getByIds" ReadDirectory deleted::by_ids: "Read several users and groups",

    GET "/users/{id}/appRoleAssignments" ReadAssignments assignments::of_principal: "List the assignments of a user",
    POST "/users/{id}/appRoleAssignments" WriteAssignments assignments::assign_principal: "Assign a user to an application",
    GET "/users/{id}/appRoleAssignments/{assignment}" ReadAssignments assignments::get_of_principal: "Read an assignment of a user",
    DELETE "/users/{id}/appRoleAssignments/{assignment}" WriteAssignments assignments::unassign_principal: "Remove an assignment of a user",
    GET "/groups/{id}/appRoleAssignments" ReadAssignments assignments::of_principal: "List the assignments of a group",
    POST "/groups/{id}/appRoleAssignments" WriteAssignments assignments::assign_principal: "Assign a group to an application",
    GET "/groups/{id}/appRoleAssignments/{assignment}" ReadAssignments assignments::get_of_principal: "Read an assignment of a group",
    DELETE "/groups/{id}/appRoleAssignments/{assignment}" WriteAssignments assignments::unassign_principal: "Remove an assignment of a group",

    GET "/applicationTemplates" ReadApplications templates::list: "List the gallery",
    GET "/applicationTemplates/{id}" ReadApplications templates::get: "Read a template of the gallery",
    POST "/applicationTemplates/{id}/instantiate" WriteApplications templates::instantiate: "Add an application from the gallery",

    GET "/applications" ReadApplications applications::list: "List applications",
    GET "/applications/$count" ReadApplications applications::count: "How many applications there are",
    GET "/applications/{id}" ReadApplications applications::get: "Read an application",
    PATCH "/applications/{id}" WriteApplications applications::update: "Change an application",
    DELETE "/applications/{id}" WriteApplications applications::delete: "Remove an application",
    GET "/servicePrincipals" ReadApplications applications::list_principals: "List service principals",
    GET "/servicePrincipals/$count" ReadApplications applications::count: "How many service principals there are",
    GET "/servicePrincipals/{id}" ReadApplications applications::get_principal: "Read a service principal",
    PATCH "/servicePrincipals/{id}" WriteApplications applications::update_principal: "Change a service principal",
    DELETE "/servicePrincipals/{id}" WriteApplications applications::delete_principal: "Remove a service principal, with its application",
    GET "/servicePrincipals/{id}/appRoleAssignedTo" ReadAssignments assignments::of_application: "List who is assigned to an application",
    POST "/servicePrincipals/{id}/appRoleAssignedTo" WriteAssignments assignments::assign: "Assign a user or a group",
    GET "/servicePrincipals/{id}/appRoleAssignedTo/{assignment}" ReadAssignments assignments::get: "Read an assignment",
    DELETE "/servicePrincipals/{id}/appRoleAssignedTo/{assignment}" WriteAssignments assignments::unassign: "Remove an assignment",
    GET "/servicePrincipals/{id}/appRoleAssignments" ReadAssignments assignments::as_principal: "List to what an application is assigned",

    GET "/organization" ReadUsers applications::organization: "Read the organisation",

    GET "/servicePrincipals/{id}/synchronization/templates" ReadSynchronization schema::templates: "List the templates of jobs",
    GET "/servicePrincipals/{id}/synchronization/templates/{template}" ReadSynchronization schema::get_template: "Read a template of jobs",
    GET "/servicePrincipals/{id}/synchronization/templates/{template}/schema" ReadSynchronization schema::template_schema: "Read the schema of a template",
    GET "/servicePrincipals/{id}/synchronization/jobs" ReadSynchronization synchronization::list: "List jobs",
    POST "/servicePrincipals/{id}/synchronization/jobs" WriteSynchronization synchronization::create: "Create a job",
    POST "/servicePrincipals/{id}/synchronization/jobs/validateCredentials" WriteSynchronization secrets::validate: "Test the connection, before there is a job",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}" ReadSynchronization synchronization::get: "Read a job and its status",
    PATCH "/servicePrincipals/{id}/synchronization/jobs/{job}" WriteSynchronization synchronization::update: "Change the schedule of a job",
    DELETE "/servicePrincipals/{id}/synchronization/jobs/{job}" WriteSynchronization synchronization::delete: "Delete a job with its state",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/start" WriteSynchronization synchronization::start: "Start a job",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/pause" WriteSynchronization synchronization::pause: "Pause a job",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/restart" WriteSynchronization synchronization::restart: "Restart a job",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/validateCredentials" WriteSynchronization secrets::validate_of_job: "Test the connection",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/provisionOnDemand" WriteSynchronization demand::run: "Provision somebody now",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema" ReadSynchronization schema::get: "Read the schema of a job",
    PUT "/servicePrincipals/{id}/synchronization/jobs/{job}/schema" WriteSynchronization schema::replace: "Replace the schema of a job",
    PATCH "/servicePrincipals/{id}/synchronization/jobs/{job}/schema" WriteSynchronization schema::update: "Change the schema of a job",
    DELETE "/servicePrincipals/{id}/synchronization/jobs/{job}/schema" WriteSynchronization schema::restore: "Restore the default schema of a job",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/directories" ReadSynchronization schema::directories: "List the directories of a schema",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/directories/{directory}" ReadSynchronization schema::directory: "Read a directory of a schema",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/filterOperators" ReadSynchronization schema::operators: "List the operators of scoping filters",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/functions" ReadSynchronization schema::functions: "List the functions of expressions",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/parseExpression" ReadSynchronization schema::parse: "Parse and try out an expression",
    GET "/servicePrincipals/{id}/synchronization/secrets" ReadSynchronization secrets::list: "List credentials and settings",
    PUT "/servicePrincipals/{id}/synchronization/secrets" WriteSynchronization secrets::replace: "Replace credentials and settings",

    GET "/auditLogs/provisioning" ReadLogs logs::provisioning: "List what was provisioned",
    GET "/auditLogs/provisioning/{id}" ReadLogs logs::get: "Read an event of the provisioning log",
    GET "/auditLogs/directoryAudits" ReadLogs logs::audits: "List who changed what",
}
