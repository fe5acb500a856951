use super::*;

#[test]
fn a_store_and_its_calls_go_wherever_tasks_go() {
    fn anywhere<T: Clone + Send + std::marker::Sync + 'static>() {}
    fn sendable<T: Send>(_: T) {}
    anywhere::<Store>();
    // Never run: that it compiles is the test.
    let _ = |store: &Store, key: &Key, token: &Token| {
        sendable(Store::open(Config::embedded("data")));
        sendable(store.put(key, "value").send());
        sendable(store.delete(key).send());
        sendable(store.batch("alice").commit());
        sendable(store.trim("alice", 1).send());
        sendable(store.get(key).send());
        sendable(store.batch_get([key.clone()]).send());
        sendable(store.scan("alice").page());
        sendable(store.new_token("alice").send());
        sendable(store.resolve(token).send());
        sendable(store.status());
        sendable(store.close());
    };
}
