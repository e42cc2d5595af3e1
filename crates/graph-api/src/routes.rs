//! The table of all operations.

use http::Method;

use crate::route::{Gives, Right, Route};
use crate::{
    applications, assignments, batch, deleted, delta, demand, groups, logs, muster, openapi,
    schema, secrets, synchronization, templates, users,
};

macro_rules! routes {
    (@takes) => { None };
    (@takes $takes:literal) => { Some($takes) };
    ($(
        $method:ident $path:literal $right:ident $handler:path $(, $takes:literal)?
        => $gives:ident $(($of:literal))?: $does:literal
    ),+ $(,)?) => {
        static ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            path: $path,
            right: Right::$right,
            takes: routes!(@takes $($takes)?),
            gives: Gives::$gives $(($of))?,
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
    POST "/$batch" Any batch::run, "batch" => One("batchAnswer"): "Several requests in one",
    GET "/openapi.json" Any openapi::get => One("object"): "Read this description",

    GET "/users" ReadUsers users::list => List("user"): "List users",
    POST "/users" WriteUsers users::create, "newUser" => Made("user"): "Create a user",
    GET "/users/$count" ReadUsers users::count => Count: "How many users there are",
    GET "/users/delta" ReadUsers delta::users => Delta("user"): "List what has changed of users",
    GET "/users/{id}" ReadUsers users::get => One("user"): "Read a user",
    PATCH "/users/{id}" WriteUsers users::update, "user" => Kept("user"): "Change a user",
    DELETE "/users/{id}" WriteUsers users::delete => Done: "Delete a user, who can be restored",
    GET "/users/{id}/manager" ReadUsers users::manager => One("directoryObject"): "Read a user's manager",
    PUT "/users/{id}/manager/$ref" WriteUsers users::set_manager, "reference" => Done: "Set a user's manager",
    DELETE "/users/{id}/manager/$ref" WriteUsers users::remove_manager => Done: "Remove a user's manager",
    GET "/users/{id}/directReports" ReadUsers users::reports => List("directoryObject"): "List who reports to a user",
    GET "/users/{id}/memberOf" ReadGroups users::member_of => List("directoryObject"): "List the groups of a user",
    GET "/users/{id}/memberOf/group" ReadGroups users::member_of => List("directoryObject"): "List the groups of a user",
    GET "/users/{id}/transitiveMemberOf" ReadGroups users::transitive_member_of => List("directoryObject"): "List the groups of a user, nested ones too",
    GET "/users/{id}/transitiveMemberOf/group" ReadGroups users::transitive_member_of => List("directoryObject"): "List the groups of a user, nested ones too",
    POST "/users/{id}/getMemberGroups" ReadGroups users::member_groups, "memberGroups" => Ids: "List the ids of the groups of a user",

    GET "/groups" ReadGroups groups::list => List("group"): "List groups",
    POST "/groups" WriteGroups groups::create, "newGroup" => Made("group"): "Create a group",
    GET "/groups/$count" ReadGroups groups::count => Count: "How many groups there are",
    GET "/groups/delta" ReadGroups delta::groups => Delta("group"): "List what has changed of groups",
    GET "/groups/{id}" ReadGroups groups::get => One("group"): "Read a group",
    PATCH "/groups/{id}" WriteGroups groups::update, "group" => Kept("group"): "Change a group",
    DELETE "/groups/{id}" WriteGroups groups::delete => Done: "Delete a group for good",
    GET "/groups/{id}/members" ReadGroups groups::members => List("directoryObject"): "List the members of a group",
    GET "/groups/{id}/members/$count" ReadGroups groups::count_members => Count: "How many members a group has",
    GET "/groups/{id}/members/$ref" ReadGroups groups::member_references => List("reference"): "List the addresses of the members of a group",
    POST "/groups/{id}/members/$ref" WriteGroups groups::add_member, "reference" => Done: "Add a member to a group",
    DELETE "/groups/{id}/members/$ref" WriteGroups groups::remove_member_by_url => Done: "Remove a member, named by its address, from a group",
    GET "/groups/{id}/members/user" ReadGroups groups::members_of_type => List("directoryObject"): "List the users who are members of a group",
    GET "/groups/{id}/members/group" ReadGroups groups::members_of_type => List("directoryObject"): "List the groups that are members of a group",
    DELETE "/groups/{id}/members/{member}/$ref" WriteGroups groups::remove_member => Done: "Remove a member from a group",
    GET "/groups/{id}/transitiveMembers" ReadGroups groups::transitive_members => List("directoryObject"): "List the members of a group, nested ones too",
    GET "/groups/{id}/memberOf" ReadGroups groups::member_of => List("directoryObject"): "List the groups of a group",
    GET "/groups/{id}/transitiveMemberOf" ReadGroups groups::transitive_member_of => List("directoryObject"): "List the groups of a group, nested ones too",
    GET "/groups/{id}/owners" ReadGroups groups::owners => List("directoryObject"): "List the owners of a group",

    GET "/directory/deletedItems" ReadUsers deleted::without_type => List("directoryObject"): "Needs a type",
    GET "/directory/deletedItems/user" ReadUsers deleted::users => List("directoryObject"): "List deleted users",
    GET "/directory/deletedItems/group" ReadGroups deleted::groups => List("directoryObject"): "List deleted groups",
    GET "/directory/deletedItems/{id}" ReadUsers deleted::get => One("directoryObject"): "Read a deleted user",
    POST "/directory/deletedItems/{id}/restore" WriteUsers deleted::restore => One("directoryObject"): "Restore a deleted user",
    DELETE "/directory/deletedItems/{id}" WriteUsers deleted::purge => Done: "Delete a user for good",
    POST "/directoryObjects/getByIds" ReadDirectory deleted::by_ids, "ids" => List("directoryObject"): "Read several users and groups",
    GET "/directoryObjects/{id}" ReadDirectory deleted::object => One("directoryObject"): "Read a user or a group",

    GET "/users/{id}/appRoleAssignments" ReadAssignments assignments::of_principal => List("appRoleAssignment"): "List the assignments of a user",
    POST "/users/{id}/appRoleAssignments" WriteAssignments assignments::assign_principal, "newAssignment" => Made("appRoleAssignment"): "Assign a user to an application",
    GET "/users/{id}/appRoleAssignments/{assignment}" ReadAssignments assignments::get_of_principal => One("appRoleAssignment"): "Read an assignment of a user",
    DELETE "/users/{id}/appRoleAssignments/{assignment}" WriteAssignments assignments::unassign_principal => Done: "Remove an assignment of a user",
    GET "/groups/{id}/appRoleAssignments" ReadAssignments assignments::of_principal => List("appRoleAssignment"): "List the assignments of a group",
    POST "/groups/{id}/appRoleAssignments" WriteAssignments assignments::assign_principal, "newAssignment" => Made("appRoleAssignment"): "Assign a group to an application",
    GET "/groups/{id}/appRoleAssignments/{assignment}" ReadAssignments assignments::get_of_principal => One("appRoleAssignment"): "Read an assignment of a group",
    DELETE "/groups/{id}/appRoleAssignments/{assignment}" WriteAssignments assignments::unassign_principal => Done: "Remove an assignment of a group",

    GET "/applicationTemplates" ReadApplications templates::list => List("applicationTemplate"): "List the gallery",
    GET "/applicationTemplates/{id}" ReadApplications templates::get => One("applicationTemplate"): "Read a template of the gallery",
    POST "/applicationTemplates/{id}/instantiate" WriteApplications templates::instantiate, "named" => Made("instance"): "Add an application from the gallery",

    GET "/applications" ReadApplications applications::list => List("application"): "List applications",
    GET "/applications/$count" ReadApplications applications::count => Count: "How many applications there are",
    GET "/applications/{id}" ReadApplications applications::get => One("application"): "Read an application",
    PATCH "/applications/{id}" WriteApplications applications::update, "application" => Done: "Change an application",
    DELETE "/applications/{id}" WriteApplications applications::delete => Done: "Remove an application",
    GET "/servicePrincipals" ReadApplications applications::list_principals => List("servicePrincipal"): "List service principals",
    GET "/servicePrincipals/$count" ReadApplications applications::count => Count: "How many service principals there are",
    GET "/servicePrincipals/{id}" ReadApplications applications::get_principal => One("servicePrincipal"): "Read a service principal",
    PATCH "/servicePrincipals/{id}" WriteApplications applications::update_principal, "servicePrincipal" => Done: "Change a service principal",
    DELETE "/servicePrincipals/{id}" WriteApplications applications::delete_principal => Done: "Remove a service principal, with its application",
    GET "/servicePrincipals/{id}/appRoleAssignedTo" ReadAssignments assignments::of_application => List("appRoleAssignment"): "List who is assigned to an application",
    POST "/servicePrincipals/{id}/appRoleAssignedTo" WriteAssignments assignments::assign, "newAssignment" => Made("appRoleAssignment"): "Assign a user or a group",
    GET "/servicePrincipals/{id}/appRoleAssignedTo/{assignment}" ReadAssignments assignments::get => One("appRoleAssignment"): "Read an assignment",
    DELETE "/servicePrincipals/{id}/appRoleAssignedTo/{assignment}" WriteAssignments assignments::unassign => Done: "Remove an assignment",
    GET "/servicePrincipals/{id}/appRoleAssignments" ReadAssignments assignments::as_principal => List("appRoleAssignment"): "List to what an application is assigned",

    GET "/organization" ReadUsers applications::organization => List("organization"): "Read the organisation",

    GET "/servicePrincipals/{id}/synchronization/templates" ReadSynchronization schema::templates => List("synchronizationTemplate"): "List the templates of jobs",
    GET "/servicePrincipals/{id}/synchronization/templates/{template}" ReadSynchronization schema::get_template => One("synchronizationTemplate"): "Read a template of jobs",
    GET "/servicePrincipals/{id}/synchronization/templates/{template}/schema" ReadSynchronization schema::template_schema => One("synchronizationSchema"): "Read the schema of a template",
    GET "/servicePrincipals/{id}/synchronization/jobs" ReadSynchronization synchronization::list => List("synchronizationJob"): "List jobs",
    POST "/servicePrincipals/{id}/synchronization/jobs" WriteSynchronization synchronization::create, "newJob" => Made("synchronizationJob"): "Create a job",
    POST "/servicePrincipals/{id}/synchronization/jobs/validateCredentials" WriteSynchronization secrets::validate, "credentials" => Done: "Test the connection, before there is a job",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}" ReadSynchronization synchronization::get => One("synchronizationJob"): "Read a job and its status",
    PATCH "/servicePrincipals/{id}/synchronization/jobs/{job}" WriteSynchronization synchronization::update, "schedule" => Done: "Change the schedule of a job",
    DELETE "/servicePrincipals/{id}/synchronization/jobs/{job}" WriteSynchronization synchronization::delete => Done: "Delete a job with its state",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/start" WriteSynchronization synchronization::start => Done: "Start a job",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/pause" WriteSynchronization synchronization::pause => Done: "Pause a job",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/restart" WriteSynchronization synchronization::restart, "restart" => Done: "Restart a job",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/validateCredentials" WriteSynchronization secrets::validate_of_job, "credentials" => Done: "Test the connection",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/provisionOnDemand" WriteSynchronization demand::run, "onDemand" => One("object"): "Provision somebody now",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema" ReadSynchronization schema::get => One("synchronizationSchema"): "Read the schema of a job",
    PUT "/servicePrincipals/{id}/synchronization/jobs/{job}/schema" WriteSynchronization schema::replace, "synchronizationSchema" => Done: "Replace the schema of a job",
    PATCH "/servicePrincipals/{id}/synchronization/jobs/{job}/schema" WriteSynchronization schema::update, "synchronizationSchema" => Done: "Change the schema of a job",
    DELETE "/servicePrincipals/{id}/synchronization/jobs/{job}/schema" WriteSynchronization schema::restore => Done: "Restore the default schema of a job",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/directories" ReadSynchronization schema::directories => List("directoryDefinition"): "List the directories of a schema",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/directories/{directory}" ReadSynchronization schema::directory => One("directoryDefinition"): "Read a directory of a schema",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/directories/{directory}/discover" WriteSynchronization schema::discover => One("directoryDefinition"): "Add the attributes that the target says it has",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/filterOperators" ReadSynchronization schema::operators => List("filterOperatorSchema"): "List the operators of scoping filters",
    GET "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/functions" ReadSynchronization schema::functions => List("attributeMappingFunctionSchema"): "List the functions of expressions",
    POST "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/parseExpression" ReadSynchronization schema::parse, "expression" => One("parseExpressionResponse"): "Parse and try out an expression",
    GET "/servicePrincipals/{id}/synchronization/secrets" ReadSynchronization secrets::list => List("secret"): "List credentials and settings",
    PUT "/servicePrincipals/{id}/synchronization/secrets" WriteSynchronization secrets::replace, "secrets" => Done: "Replace credentials and settings",

    GET "/auditLogs/provisioning" ReadLogs logs::provisioning => List("provisioningObjectSummary"): "List what was provisioned",
    GET "/auditLogs/provisioning/{id}" ReadLogs logs::get => One("provisioningObjectSummary"): "Read an event of the provisioning log",
    GET "/auditLogs/directoryAudits" ReadLogs logs::audits => List("directoryAudit"): "List who changed what",

    GET "/muster/integrations" ReadApplications muster::list_integrations => List("integration"): "List the receiving sides",
    POST "/muster/integrations" WriteApplications muster::create_integration, "newIntegration" => Made("issued"): "Create a receiving side, with its SCIM URL and token",
    GET "/muster/integrations/{id}" ReadApplications muster::get_integration => One("integration"): "Read a receiving side",
    POST "/muster/integrations/{id}/rotate" WriteApplications muster::rotate => One("issued"): "Get another token for a receiving side",
    POST "/muster/integrations/{id}/revoke" WriteApplications muster::revoke => Done: "Shut everybody out of a receiving side",
    GET "/muster/integrations/{id}/dialect" ReadApplications muster::dialect => List("object"): "List how senders depart from the RFCs",
    GET "/muster/servicePrincipals/{id}/explanation" ReadSynchronization muster::explanation => One("object"): "Explain why somebody is, or is not, provisioned",
    POST "/muster/servicePrincipals/{id}/plans" WriteSynchronization muster::plan => Made("plan"): "Work out what the next cycle would do",
    GET "/muster/plans/{plan}" ReadSynchronization muster::get_plan => One("plan"): "Read a plan",
    GET "/muster/plans/{plan}/operations" ReadSynchronization muster::operations => List("object"): "List what a plan would do",
    POST "/muster/plans/{plan}/apply" WriteSynchronization muster::apply => Cycle: "Do exactly what a plan says",
    GET "/muster/servicePrincipals/{id}/links" ReadSynchronization muster::list_links => List("link"): "List which object of the target is whose",
    PUT "/muster/servicePrincipals/{id}/links/{subject}" WriteSynchronization muster::set_link, "linked" => Done: "Link somebody to an object of the target",
    DELETE "/muster/servicePrincipals/{id}/links/{subject}" WriteSynchronization muster::drop_link => Done: "Drop a link",
    GET "/muster/servicePrincipals/{id}/heldBack" ReadSynchronization muster::held => List("object"): "List what the guard holds back",
    POST "/muster/servicePrincipals/{id}/heldBack/allow" WriteSynchronization muster::allow, "allowed" => One("allowed"): "Let the job do what its guard holds back",
    GET "/muster/notices" ReadSynchronization muster::list_notices => List("object"): "List what somebody should know",
    POST "/muster/servicePrincipals/{id}/acknowledge" WriteSynchronization muster::acknowledge => Done: "Say that somebody knows",
}
