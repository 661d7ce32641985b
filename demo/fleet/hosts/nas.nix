# A second destination, with a password that agenix keeps.
{ config, ... }:
{
  age.secrets.archive-password.file = ../secrets/archive-password.age;

  services.journalship = {
    credentials.archive-password = config.age.secrets.archive-password.path;
    settings.loki = [
      {
        name = "archive";
        url = "https://logs.example.org";
        basic_auth = {
          username = "nas";
          password_file = "\${CREDENTIALS_DIRECTORY}/archive-password";
        };
      }
    ];
  };
}
