//! A thread that owns something and does one thing after the other with it: calls to an X server block, tools do not.

use std::{fmt, io, sync::mpsc, thread};

use tokio::sync::oneshot;

use crate::error::{Code, Problem, Result};

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// Handle to a thread; with the last one the thread ends.
pub struct Owner<T> {
    jobs: mpsc::Sender<Job<T>>,
}

impl<T> Clone for Owner<T> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone() }
    }
}

impl<T> fmt::Debug for Owner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner")
    }
}

impl<T: Send + 'static> Owner<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no room for another thread.
    pub fn start(name: &str, mut owned: T) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job<T>>();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            for job in inbox {
                job(&mut owned);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Does `job` when those before it are done; nobody waits for it.
    pub fn send(&self, job: impl FnOnce(&mut T) + Send + 'static) {
        // Without the thread there is nothing to do it to.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Does `job` when those before are done. What nobody waits for any more is not begun.
    ///
    /// # Errors
    /// What the job says, or `internal` when the thread is gone.
    pub async fn run<R, F>(&self, job: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut T) -> Result<R> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job<T> = Box::new(move |owned| {
            if !answer.is_closed() {
                let _ = answer.send(job(owned));
            }
        });
        let gone = || Problem::new(Code::Internal, "the thread of the desktop has ended");
        self.jobs.send(job).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_done_in_order_and_their_failures_come_back() {
        let owner = Owner::start("test", Vec::new()).unwrap();
        for n in 0..3 {
            let push = move |list: &mut Vec<i32>| {
                list.push(n);
                Ok(())
            };
            owner.run(push).await.unwrap();
        }
        assert_eq!(owner.run(|list| Ok(list.clone())).await.unwrap(), [0, 1, 2]);
        let failed = owner.run(|_| Err::<(), _>(Problem::internal("no"))).await.unwrap_err();
        assert_eq!(failed.message, "no");
    }
}
