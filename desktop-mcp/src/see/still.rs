//! When the screen has come to rest.

use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, timeout_at};

use crate::x::Happened;

/// Waits until nothing has been painted for `quiet`; whether that was so before `limit` had passed.
pub async fn still(happened: &mut Receiver<Happened>, quiet: Duration, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    let mut rest = Instant::now() + quiet;
    loop {
        match timeout_at(rest.min(end), happened.recv()).await {
            Ok(Ok(Happened::Painted(_)) | Err(RecvError::Lagged(_))) => rest = Instant::now() + quiet,
            Ok(Ok(Happened::Ended) | Err(RecvError::Closed)) => return false,
            Ok(Ok(_)) => {}
            Err(_) => return rest <= end,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;
    use crate::geometry::Rect;

    #[tokio::test(start_paused = true)]
    async fn a_screen_at_rest_is_told_from_one_that_never_rests() {
        let (sender, mut happened) = broadcast::channel(64);
        let painter = tokio::spawn(async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = sender.send(Happened::Painted(Rect::default()));
            }
            sender
        });
        let (quiet, limit) = (Duration::from_millis(100), Duration::from_millis(300));
        assert!(!still(&mut happened, quiet, limit).await, "painted every 50 ms");
        assert!(still(&mut happened, quiet, Duration::from_secs(3)).await);
        drop(painter.await);
        assert!(!still(&mut happened, quiet, limit).await, "the desktop has gone");
    }
}
