//! stub
pub(crate) fn restore_terminal() {}
pub(crate) struct Dashboard;
impl Dashboard {
    pub(crate) fn open(_d: std::sync::Arc<sagwan_recorder::daemon::Daemon>, _s: crate::signal::Stop) -> anyhow::Result<Self> { Ok(Self) }
}
impl crate::record::View for Dashboard {
    fn look(&mut self, _d: &std::sync::Arc<sagwan_recorder::daemon::Daemon>, p: std::time::Duration) -> anyhow::Result<()> { std::thread::sleep(p); Ok(()) }
    fn close(&mut self) -> anyhow::Result<()> { Ok(()) }
}
