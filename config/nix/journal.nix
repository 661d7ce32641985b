# `services.journalship.server.engine = "journal"`: the hosts upload their journals to the server, systemd-journal-remote writes
# them there, and the server's agent answers queries and evaluates rules over all of them. No Loki is needed. docs/fleet.md says which fleets
# this suits.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    mkDefault
    mkIf
    mkMerge
    mkOption
    optional
    optionalAttrs
    types
    ;

  agent = config.services.journalship;
  inherit (agent) server upload;
  cfg = server.journal;
  inherit (import ./lib.nix { inherit lib pkgs; }) queryAddress queryToken ruleFile withoutNull;

  gathers = server.enable && server.engine == "journal";
  # systemd-journal-remote(8) writes here.
  gathered = "/var/log/journal/remote";

  file =
    description: example:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit description example;
    };
in
{
  options.services.journalship = {
    server.journal = {
      port = mkOption {
        type = types.port;
        default = 19532;
        description = "The port to which the hosts upload their journals, with `engine = \"journal\"`.";
        example = 19533;
      };

      maxUse = file ''
        How much space the journals of the other hosts may take, together; null: a tenth of the file system, and at most 4G. When
        they are larger, the oldest files are deleted: that is all the retention there is.
      '' "20G";

      keepFree = file ''
        How much space of the file system stays free; null: 15 % of it, and at most 4G.
      '' "10G";

      certFile = file ''
        The certificate of the server (PEM), followed by the intermediate ones; null: the hosts upload without TLS, within a
        tunnel.
      '' "/run/agenix/monitor.pem";

      keyFile = file ''
        The key of the certificate, outside the store. The user `systemd-journal-remote` has to be able to read it.
      '' "/run/agenix/monitor.key";

      caFile = file ''
        The authority of the hosts (PEM): who has no certificate of it cannot upload.
      '' "/etc/ssl/fleet-ca.pem";

      tokenFile = file ''
        A file with a token, outside the store: with it, Grafana on this host asks the agent. Root may be the only one who can
        read it.
      '' "/run/agenix/query-token";
    };

    upload = {
      url = mkOption {
        type = types.nullOr types.str;
        default =
          if server.engine == "journal" && !server.enable && server.host != null then
            "${if upload.keyFile == null then "http" else "https"}://${server.host}:${toString cfg.port}"
          else
            null;
        defaultText = lib.literalMD "the server, with `server.engine = \"journal\"` and `server.host`; else null";
        description = "Where systemd-journal-upload sends this host's journal; null: nowhere.";
        example = "http://monitor:19532";
      };

      certFile = file "The certificate of this host (PEM), for a server that has `server.journal.certFile`." "/run/agenix/web1.pem";

      keyFile = file ''
        The key of the certificate, outside the store. The group `systemd-journal` has to be able to read it.
      '' "/run/agenix/web1.key";

      caFile = file "The authority of the server's certificate (PEM)." "/etc/ssl/fleet-ca.pem";
    };
  };

  config = mkMerge [
    (mkIf gathers {
      assertions = [
        {
          assertion = !server.grafana || cfg.tokenFile != null;
          message = ''
            Grafana on this host has to prove who it is before it may read the journals. Set
            services.journalship.server.journal.tokenFile, for example to config.age.secrets.query-token.path, or
            services.journalship.server.grafana = false.
          '';
        }
        {
          assertion = (cfg.certFile == null) == (cfg.keyFile == null) && (cfg.certFile == null) == (cfg.caFile == null);
          message = ''
            Of services.journalship.server.journal.certFile, .keyFile and .caFile all have to be set, or none.
          '';
        }
      ];

      services.journald.remote = {
        enable = true;
        listen = if cfg.keyFile == null then "http" else "https";
        inherit (cfg) port;
        output = "${gathered}/";
        settings.Remote = {
          SplitMode = "host";
        }
        // withoutNull {
          MaxUse = cfg.maxUse;
          KeepFree = cfg.keepFree;
          ServerCertificateFile = cfg.certFile;
          ServerKeyFile = cfg.keyFile;
          TrustedCertificateFile = cfg.caFile;
        };
      };

      services.journalship = {
        credentials = optionalAttrs (cfg.tokenFile != null) { ${queryToken} = cfg.tokenFile; };
        settings = {
          journal.paths = [
            "/var/log/journal"
            gathered
          ];
          query = {
            socket = mkDefault "/run/journal-ship/query.sock";
          }
          // optionalAttrs (cfg.tokenFile != null) {
            listen = mkDefault queryAddress;
            token_file = "\${CREDENTIALS_DIRECTORY}/${queryToken}";
          };
          alerts.rule_files =
            optional (server.rules != { }) "${ruleFile "journal-ship-server-rules.yaml" server.rules}"
            ++ map (file: "${file}") server.ruleFiles;
        };
      };

      systemd.services.grafana = mkIf (server.grafana && cfg.tokenFile != null) {
        serviceConfig.LoadCredential = [ "${queryToken}:${cfg.tokenFile}" ];
      };
    })

    (mkIf (upload.url != null) {
      assertions = [
        {
          assertion = (upload.certFile == null) == (upload.keyFile == null);
          message = "Of services.journalship.upload.certFile and .keyFile both have to be set, or none.";
        }
      ];

      services.journald.upload = {
        enable = true;
        settings.Upload = {
          URL = upload.url;
          ServerKeyFile = upload.keyFile;
          ServerCertificateFile = upload.certFile;
          TrustedCertificateFile = upload.caFile;
          # Then it ends, and systemd starts it again.
          NetworkTimeoutSec = "1min";
        };
      };

      services.journalship.settings.query.socket = mkDefault "/run/journal-ship/query.sock";
    })
  ];
}
