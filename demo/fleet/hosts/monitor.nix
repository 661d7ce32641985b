# Loki, Prometheus, Alertmanager and Grafana.
{ config, ... }:
{
  services.journalship.server = {
    enable = true;
    interfaces = [ "tailscale0" ]; # where the others reach Loki and Alertmanager
    hosts = [
      "web1"
      "db1"
      "nas"
    ];
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

  services.prometheus.enable = true;
  services.prometheus.alertmanager = {
    enable = true;
    configuration = {
      route.receiver = "nobody";
      receivers = [ { name = "nobody"; } ];
    };
  };
}
