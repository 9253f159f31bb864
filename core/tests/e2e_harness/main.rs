//! One suite of behaviours for every agent: the real CLI in a real sandbox, through the real daemon, against the stub
//! model server. `claudecode::a_turn_becomes_events` is one test; what a CLI does otherwise stands with its subject in
//! `tests/agents`, and the same test holds that instead. Needs the CLIs, see `sandboxed_testkit::cli`; without them the
//! tests fail. To run one agent: `-E 'test(/^codex::/)'`; to run all others: `-E 'not binary(e2e_harness)'`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test tells the daemon's log")]

#[path = "../agents/mod.rs"]
mod agents;
#[path = "../support/mod.rs"]
mod support;

mod crashes;
mod faults;
mod files;
mod keys;
mod logins;
mod messages;
mod patience;
mod requests;
mod stopping;
mod table;
mod turns;

/// The tests with the behaviours that each holds, for another macro.
macro_rules! each_test {
    ($macro:ident! $($before:tt)*) => {
        $macro! { $($before)*
            turns::a_turn_becomes_events_a_commit_and_a_report holds Events OwnTools DefaultModel;
            turns::each_turn_has_its_own_usage_and_a_resume_knows_the_first holds Resume ToolFailure Usage Cost;
            logins::a_users_login_serves_where_there_is_no_key holds Login;
            messages::a_message_to_a_busy_worker_becomes_its_next_turn holds Queue;
            messages::a_persons_mission_waits_and_goes_on holds Conversation;
            files::instructions_are_in_force_and_the_key_is_nowhere holds Instructions Skill Secrecy;
            requests::a_permission_is_asked_denied_allowed_and_allowed_always holds Permissions DenialReason AllowAlways AnsweredOnce;
            requests::a_question_wakes_the_boss_and_its_answer_reaches_the_model holds Question;
            patience::while_it_waits_for_an_answer_no_clock_runs_but_its_own holds OwnRules Patience Stall;
            crashes::an_agent_that_is_killed_failed_and_its_session_goes_on holds AgentKilled;
            crashes::a_turn_goes_on_without_its_daemon_and_is_told_once holds DaemonKilled;
            stopping::a_cancel_in_a_text_ends_the_turn_and_keeps_the_session holds CancelText;
            stopping::a_cancel_in_a_tool_leaves_nothing_of_the_tool holds CancelTool;
            stopping::a_turn_that_hangs_ends_at_its_time holds TimeOut;
            faults::a_failing_provider_is_told_by_kind holds RateLimit Failures CutStream FailedTask;
            keys::a_told_end_of_a_limit_is_waited_for holds LimitEnd;
            keys::a_limited_key_rests_and_the_next_one_serves holds Keys;
            faults::a_passing_fault_is_survived holds Retry;
            faults::a_model_of_another_provider_is_refused holds WrongModel;
        }
    };
}

macro_rules! tests {
    ($subject:expr, $($module:ident :: $test:ident holds $($behaviour:ident)+;)+) => {
        $(
            #[tokio::test]
            async fn $test() {
                let case = $crate::agents::Case::new(&$subject);
                $crate::$module::$test(&case).await;
                case.closed(&[$($crate::agents::Behaviour::$behaviour),+]);
            }
        )+
    };
}

macro_rules! behaviours {
    ($($module:ident :: $test:ident holds $($behaviour:ident)+;)+) => {
        /// What the suite holds.
        const HELD: &[agents::Behaviour] = &[$($(agents::Behaviour::$behaviour),+),+];
    };
}

/// The suite for each subject, in a module of its name.
macro_rules! suite {
    ($($name:ident: $subject:ident)+) => {
        $(
            mod $name {
                each_test! { tests! $crate::agents::$subject, }
            }
        )+
    };
}

each_test! { behaviours! }

suite! {
    claudecode: CLAUDECODE
    codex: CODEX
    opencode: OPENCODE
    gemini: GEMINI
    grok: GROK
}
