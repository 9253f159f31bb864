//! The harness without a model: runs an argv, or the prompt as a `sh` script, and judges by the exit status.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::codec::describe_end;
use super::{
    BackendKind, Capabilities, Codec, FailureClass, Harness, HarnessEvent, HostVariable, LaunchPlan,
    LaunchRequest, PlannedFile, Program, Readiness, StdinMode, environment,
};
use crate::api::{ApiError, AuthKind, Decision, Effort, ErrorCode, Usage};
use crate::policy::tail_at;

/// Longest script passed as an argument: the kernel takes at most 128 KiB for one (`MAX_ARG_STRLEN`).
const MAX_ARGUMENT_BYTES: usize = 96 * 1024;
/// How much of the end of the output becomes the run's message.
const MESSAGE_BYTES: usize = 2048;

/// See the module.
pub(super) struct Command;

impl Harness for Command {
    fn id(&self) -> &'static str {
        "command"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: BackendKind::Command,
            resume: false,
            queue: false,
            interrupt: false,
            steer: false,
            requests: false,
            mcp: false,
            models: false,
            efforts: false,
            cost: false,
            argv: true,
        }
    }

    fn program(&self) -> Option<&'static Program> {
        None
    }

    fn host_variables(&self) -> &'static [HostVariable] {
        &[]
    }

    fn readiness(&self, _credentials: &BTreeMap<String, String>) -> Readiness {
        Readiness { auth: AuthKind::None, ready: true, reason: "needs no credentials".to_owned() }
    }

    fn check_model(&self, model: Option<&str>, effort: Option<Effort>) -> Result<Option<String>, ApiError> {
        let refuse = |field: &str| {
            Err(ApiError::new(ErrorCode::ModelMismatch, format!("the command backend takes no {field}"))
                .field(field)
                .hint("leave it out, or choose an agent backend"))
        };
        match (model, effort) {
            (Some(_), _) => refuse("model"),
            (None, Some(_)) => refuse("effort"),
            (None, None) => Ok(None),
        }
    }

    fn plan(&self, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
        self.check_model(request.model.as_deref(), request.effort)?;
        let (argv, files) = match request.command.is_empty() {
            false => (request.command.clone(), Vec::new()),
            true => script(request),
        };
        if let Some(at) = argv.iter().position(|arg| arg.contains('\0')) {
            return Err(ApiError::invalid("command", format!("argument {at} contains a NUL"))
                .hint("remove it: no program can be given one"));
        }
        Ok(LaunchPlan {
            argv,
            env: environment::base(request),
            cwd: request.cwd.clone(),
            directories: vec![environment::tmp_dir(request)],
            files,
            stdin: StdinMode::Null,
            stdout_is_protocol: false,
            key: None,
            codec: Value::Null,
        })
    }

    fn codec(&self) -> Box<dyn Codec + Send> {
        Box::new(PlainText::default())
    }
}

/// `sh -c PROMPT`, or a file where the prompt is too long for an argument.
fn script(request: &LaunchRequest) -> (Vec<String>, Vec<PlannedFile>) {
    if request.prompt.len() <= MAX_ARGUMENT_BYTES {
        return (vec!["sh".to_owned(), "-c".to_owned(), request.prompt.clone()], Vec::new());
    }
    let path = format!("{}/script.sh", request.mission_dir);
    let file = PlannedFile {
        path: path.clone(),
        content: request.prompt.as_str().into(),
        mode: 0o600,
        keep_existing: false,
    };
    (vec!["sh".to_owned(), path], vec![file])
}

/// Plain output as text; only its end is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct PlainText {
    tail: String,
    finished: bool,
}

impl Codec for PlainText {
    fn decode_line(&mut self, line: &str) -> Vec<HarnessEvent> {
        self.decode_lines(&[line])
    }

    fn decode_lines(&mut self, lines: &[&str]) -> Vec<HarnessEvent> {
        if lines.is_empty() {
            return Vec::new();
        }
        let mut content = lines.join("\n");
        content.push('\n');
        self.tail.push_str(tail_at(&content, MESSAGE_BYTES));
        self.tail = tail_at(&self.tail, MESSAGE_BYTES).to_owned();
        vec![HarnessEvent::TextDelta { content }]
    }

    fn encode_user_message(&mut self, _id: &str, _text: &str) -> Option<String> {
        None
    }

    fn encode_interrupt(&mut self, _id: &str) -> Option<String> {
        None
    }

    fn encode_answer(
        &mut self,
        _request_id: &str,
        _detail: &Value,
        _decision: Decision,
        _answer: Option<&str>,
    ) -> Option<String> {
        None
    }

    fn finish(&mut self, exit_code: Option<i32>, signal: Option<i32>) -> Vec<HarnessEvent> {
        if std::mem::replace(&mut self.finished, true) {
            return Vec::new();
        }
        let success = exit_code == Some(0) && signal.is_none();
        let output = self.tail.trim_end();
        let message = match (success, output) {
            (true, output) => output.to_owned(),
            (false, "") => describe_end(exit_code, signal),
            (false, output) => format!("{}\n{output}", describe_end(exit_code, signal)),
        };
        vec![HarnessEvent::TurnEnded {
            success,
            interrupted: false,
            failure: (!success).then_some(FailureClass::Harness),
            message,
            usage: Usage::default(),
        }]
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn restore(&mut self, snapshot: Value) {
        if let Ok(state) = serde_json::from_value(snapshot) {
            *self = state;
        }
    }
}
