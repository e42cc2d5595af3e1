//! `muster administrator …`

use muster_app::{AppError, administrators};
use serde_json::json;

use crate::args::Administrator;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(node: &Node, task: Administrator, out: &Out) -> Result<Exit, AppError> {
    match task {
        Administrator::List => {
            let all = administrators::list(&node.ctx).await?;
            if out.json {
                let shown = all.iter().map(|it| {
                    json!({
                        "id": it.id.to_string(), "name": it.name, "role": it.role.as_str(),
                        "created": it.created.to_string(),
                        "lastSignedIn": it.last_signed_in.map(|at| at.to_string())
                    })
                });
                out.line(json!(shown.collect::<Vec<_>>()).to_string()).await;
                return Ok(Exit::Done);
            }
            if all.is_empty() {
                out.line("Nobody yet; muster serve prints a link for the first administrator")
                    .await;
            }
            for it in all {
                let last = it.last_signed_in;
                let last = last.map_or_else(|| "never".to_owned(), |at| at.to_string());
                out.line(format!("{}  {}, signed in last: {last}", it.name, it.role))
                    .await;
            }
        }
        Administrator::Password { name } => {
            let password = administrators::reset_password(&node.ctx, &name).await?;
            let text = format!(
                "{}\n  is the new password of {name}; it is shown this once. They can choose another one on \
                 the page Account",
                password.expose()
            );
            let shown = json!({ "name": name, "password": password.expose() });
            out.tell(&shown, text).await;
        }
    }
    Ok(Exit::Done)
}
