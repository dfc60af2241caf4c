//! Whom translations are asked of: the front-end, over the channel that it gave.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use nic_model::vhost_user::channel::Channel;
use nic_model::vhost_user::error::ChannelError;
use nic_model::vhost_user::iotlb::Translations;

/// Has `translations` asked for over `channel` from now on, and a thread listen to the answers if there are any.
/// `fails` is told why nobody can be asked, now or later.
pub fn connect(
    channel: OwnedFd,
    answers: bool,
    translations: &Arc<Translations>,
    fails: impl Fn(&ChannelError) + Clone + Send + 'static,
) {
    let channel = match Channel::new(UnixStream::from(channel), answers) {
        Ok(channel) => Arc::new(channel),
        Err(error) => return fails(&ChannelError::System(error)),
    };
    if answers {
        let (asked, heard) = (Arc::clone(&channel), Arc::clone(translations));
        let told = fails.clone();
        let thread = std::thread::Builder::new().name("translations".into()).spawn(move || {
            if let Err(error) = asked.listen(&heard) {
                told(&error);
            }
        });
        if let Err(error) = thread {
            return fails(&ChannelError::System(error));
        }
    }
    translations.ask(Some(channel));
}
