//! `queue_config` and `metadata_config`: what can't be, and what it is answered with.

use super::mistakes::assert_mistakes;

#[test]
fn queues_that_can_not_be_are_refused() {
    assert_mistakes(&[
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config.max_samples_per_send = 0",
            "n.toml:3: remote_write.queue_config.max_samples_per_send: is 0; write a number from 1 to 50000",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config.max_samples_per_send = -1_0",
            "n.toml:3: remote_write.queue_config.max_samples_per_send: is -10; write a number from 1 to 50000",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\n[remote_write.queue_config]\nmin_backoff = '9s'\nmax_backoff = '3s'",
            "n.toml:5: remote_write.queue_config.max_backoff: min_backoff \"9s\" is longer than max_backoff \"3s\"; \
             write min_backoff shorter or max_backoff longer",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config.capacity = 200000",
            "n.toml:3: remote_write.queue_config.capacity: is 200000; write at most 100000: it bounds the samples that are in \
             memory to be sent, and others wait in the ring, whose size is buffer.size",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config.capacity = 1000",
            "n.toml:3: remote_write.queue_config.capacity: is 1000, and a request of max_samples_per_send 2000 needs as many; \
             write more",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config.max_bytes_per_send = '1000'",
            "n.toml:3: remote_write.queue_config.max_bytes_per_send: \"1000\" is not a size; write it as \
             \"64MiB\" or \"512KiB\"",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config.max_bytes_per_send = '512B'",
            "n.toml:3: remote_write.queue_config.max_bytes_per_send: is not from 1KiB to 64MiB; write a size such as \"64KiB\"",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config.retry_on_http_429 = 'yes'",
            "n.toml:3: remote_write.queue_config.retry_on_http_429: is a string; write true or false",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\ngive_up_on = [401, 503]",
            "n.toml:3: remote_write.give_up_on: is 503; write a number from 400 to 499",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config.max_shards = 50",
            "n.toml:3: remote_write.queue_config.max_shards: is not supported: one request is under way at a time, so that \
             samples arrive in order",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config.min_backoff = '9s'",
            "n.toml:3: remote_write.queue_config.min_backoff: min_backoff \"9s\" is longer than max_backoff \"5s\"; \
             write min_backoff shorter or max_backoff longer",
        ),
    ]);
}

#[test]
fn metadata_that_can_not_be_sent_so_is_refused() {
    assert_mistakes(&[
        (
            "[[remote_write]]\nurl = 'http://a'\nmetadata_config.send = 1",
            "n.toml:3: remote_write.metadata_config.send: is the integer 1; write true or false",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nmetadata_config.send_interval = '0s'",
            "n.toml:3: remote_write.metadata_config.send_interval: is zero; write a duration such as \"15s\", or leave the key out",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nmetadata_config.max_samples_per_send = 0",
            "n.toml:3: remote_write.metadata_config.max_samples_per_send: is 0; write a number from 1 to 50000",
        ),
    ]);
}
