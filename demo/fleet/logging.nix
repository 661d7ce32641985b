# On every host.
{
  services.journalship = {
    enable = true;
    server.host = "monitor"; # names are Tailscale's
    server.engine = "loki"; # or "journal", for a small fleet: docs/fleet.md
    alertmanagers = [ "http://monitor:9093" ];
    interfaces = [ "tailscale0" ]; # where Prometheus may scrape the agent

    # Loki deletes by the same rules: this file is also part of the host that has it.
    retention = {
      default = "31d";
      rules = [
        {
          selector = ''{unit="sshd.service"}'';
          keep = "90d";
        }
        {
          selector = ''{level="debug"}'';
          keep = "1d";
          sample = 0.1;
        }
        {
          selector = ''{unit="nginx.service"} |= "/healthz"'';
          drop = true;
        }
      ];
    };
  };
}
