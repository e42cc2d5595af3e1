//! `muster notice …`

use muster_app::{AppError, notices, told};
use serde_json::json;

use crate::args::Notice;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(node: &Node, task: Notice, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    match task {
        Notice::List => {
            let all = notices::list(ctx).await?;
            for (application, notice) in &all {
                out.line(if out.json {
                    told::notice(application, notice).to_string()
                } else {
                    let state = if notice.acknowledged {
                        " (acknowledged)"
                    } else {
                        ""
                    };
                    let (name, since) = (&application.display_name, notice.since);
                    let (topic, detail) = (notice.topic.as_str(), &notice.detail);
                    let problem = notice.problem.as_ref();
                    let problem = problem.map_or_else(String::new, |problem| {
                        format!("\n  it could not be told: {problem}")
                    });
                    format!("{name}: {topic} since {since}{state}: {detail}{problem}")
                })
                .await;
            }
            if all.is_empty() && !out.json {
                out.line("There is nothing to know".to_owned()).await;
            }
        }
        Notice::Acknowledge { app } => {
            let (application, count) = notices::acknowledge(ctx, &app).await?;
            out.line(if out.json {
                json!({ "acknowledged": count }).to_string()
            } else {
                let name = application.display_name;
                format!("{name}: {count} notices acknowledged; there are no reminders of them")
            })
            .await;
        }
        Notice::Test { email } => {
            let mailer = node.mailer.as_ref();
            let mailer = mailer.map_err(|error| AppError::Refused(error.clone()))?;
            notices::test(mailer.as_deref(), &email).await?;
            out.line(if out.json {
                json!({ "sent": true }).to_string()
            } else {
                format!("A test was sent to {email}")
            })
            .await;
        }
    }
    Ok(Exit::Done)
}
