# Loki, Prometheus, Alertmanager and Grafana.
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

  services.grafana.enable = true;
  services.prometheus.enable = true;
  services.prometheus.alertmanager = {
    enable = true;
    configuration = {
      route.receiver = "nobody";
      receivers = [ { name = "nobody"; } ];
    };
  };
}
