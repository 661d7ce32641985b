# Nothing but a label.
{
  services.journalship.settings.labels.static.role = "database";
}
