# The logs of all hosts, Prometheus, Alertmanager and Grafana.
{ config, ... }:
{
  services.journalship.server = {
    enable = true;
    interfaces = [ "tailscale0" ]; # where the others send their logs and alerts
    hosts = [
      "web1"
      "db1"
      "nas"
    ];
    # With the engine "journal": how much is kept, and how Grafana shows who it is.
    journal = {
      maxUse = "20G";
      tokenFile = config.age.secrets.query-token.path;
    };
    # What only the logs of several hosts can tell.
    rules.fleet.rules = [
      {
        alert = "HostsRestart";
        expr = ''count(sum by (host) (count_over_time({unit="init.scope"} |= "Startup finished" [1h]))) > 2'';
        labels.severity = "warning";
        annotations.summary = "{{ $value }} hosts have started within an hour";
      }
    ];
  };

  services.grafana = {
    enable = true;
    # From 26.05 on it has to be set.
    settings.security.secret_key = "$__file{${config.age.secrets.grafana-key.path}}";
  };
  age.secrets.grafana-key = {
    file = ../secrets/grafana-key.age;
    owner = "grafana";
  };
  age.secrets.query-token.file = ../secrets/query-token.age;

  services.prometheus.enable = true;
  services.prometheus.alertmanager = {
    enable = true;
    configuration = {
      route.receiver = "nobody";
      receivers = [ { name = "nobody"; } ];
    };
  };
}
