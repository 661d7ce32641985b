# Two virtual machines: one with Loki and Alertmanager, one whose journal is shipped. Needs KVM, or patience.
{ module }:

{
  name = "journal-ship";

  nodes.monitor =
    { pkgs, ... }:
    {
      imports = [ module ];
      services.journalship = {
        enable = true;
        server = {
          enable = true;
          interfaces = [ "eth1" ];
        };
        retention.rules = [
          {
            selector = ''{unit="sshd.service"}'';
            keep = "90d";
          }
        ];
      };
      services.prometheus.alertmanager = {
        enable = true;
        configuration = {
          route.receiver = "nobody";
          receivers = [ { name = "nobody"; } ];
        };
      };
      environment.systemPackages = [ pkgs.jq ];
      virtualisation.memorySize = 2048;
    };

  nodes.web = {
    imports = [ module ];
    services.journalship = {
      enable = true;
      loki.url = "http://monitor:3100";
      # Loki does not look at it, but it has to be read.
      loki.username = "web";
      loki.passwordFile = "/root/password";
      alertmanagers = [ "http://monitor:9093" ];
      rules.test.rules = [
        {
          alert = "Boom";
          expr = ''sum by (host) (count_over_time({job="systemd-journal"} |= "boom" [5m])) > 0'';
        }
      ];
      settings.alerts.evaluation_interval = "5s";
    };
    # Its entries come out of namespaces of its own.
    systemd.services.apart = {
      serviceConfig = {
        DynamicUser = true;
        PrivateUsers = true;
      };
      script = "echo apart from all";
    };
    systemd.tmpfiles.rules = [ "f /root/password 0400 root root - secret" ];
  };

  testScript = ''
    def stored(text):
        query = "curl -sG http://127.0.0.1:3100/loki/api/v1/query_range"
        query += " --data-urlencode 'query={host=\"web\"} |= \"" + text + "\"'"
        query += " | jq -e '[.data.result[].values[]] | length'"
        return query

    start_all()
    monitor.wait_for_unit("loki.service")
    monitor.wait_for_open_port(3100)
    monitor.wait_for_unit("alertmanager.service")
    web.wait_for_unit("journal-ship.service")

    with subtest("entries arrive, also those of a unit apart"):
        web.succeed("systemctl start apart.service")
        monitor.wait_until_succeeds(stored("apart from all") + " | grep -qx 1", timeout=120)

    with subtest("the credential is the service's alone"):
        web.fail("su nobody -s /bin/sh -c 'cat /run/credentials/journal-ship.service/loki-password'")
        web.fail("journalctl -u journal-ship | grep -w secret")

    with subtest("an alert reaches Alertmanager"):
        web.succeed("logger boom")
        monitor.wait_until_succeeds(
            "curl -s http://127.0.0.1:9093/api/v2/alerts | jq -e '.[] | select(.labels.alertname == \"Boom\" and .labels.host == \"web\")'",
            timeout=120,
        )

    with subtest("what comes while Loki is away is stored afterwards, once"):
        monitor.systemctl("stop loki.service")
        web.succeed("logger written while away")
        monitor.systemctl("start loki.service")
        monitor.wait_until_succeeds(stored("written while away") + " | grep -qx 1", timeout=180)

    with subtest("a reboot loses nothing"):
        web.succeed("logger written before the reboot")
        web.shutdown()
        web.start()
        web.wait_for_unit("journal-ship.service")
        web.succeed("logger written after the reboot")
        monitor.wait_until_succeeds(stored("written before the reboot") + " | grep -qx 1", timeout=180)
        monitor.wait_until_succeeds(stored("written after the reboot") + " | grep -qx 1", timeout=180)

    with subtest("Loki deletes by the rules of the agents"):
        monitor.succeed("curl -s http://127.0.0.1:3100/config | grep -q 'period: 90d\\|period: 12w6d'")
  '';
}
