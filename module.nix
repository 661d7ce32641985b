# journal-ship on NixOS: `services.journalship` on every host, `services.journalship.server` on the one that has Loki.
# docs/nixos.md goes from the first line to a working fleet.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:

let
  inherit (lib)
    mkDefault
    mkEnableOption
    mkIf
    mkOption
    mkPackageOption
    optional
    optionalAttrs
    types
    ;

  cfg = config.services.journalship;
  format = pkgs.formats.yaml { };
  inherit (import ./config/nix/lib.nix { inherit lib pkgs; })
    canRun
    metricsPort
    retentionOf
    ruleFile
    ruleGroups
    withoutNull
    ;

  configFile = "journal-ship/config.yaml"; # in /etc

  # `${CREDENTIALS_DIRECTORY}/NAME`, which the program expands: systemd puts the file there for the service alone.
  credential = name: "\${CREDENTIALS_DIRECTORY}/${name}";
  inStore = path: lib.hasPrefix "${builtins.storeDir}/" (toString path);

  # Where it was an option of its own, up to NixOS 26.05, and where it is one of many settings.
  journalStorage =
    let
      inherit (config.services) journald;
    in
    if journald ? settings then journald.settings.Journal.Storage or null else journald.storage;

  retentionRule = types.submodule {
    options = {
      selector = mkOption {
        type = types.str;
        description = "LogQL: label matchers, and line filters.";
        example = ''{unit="nginx.service"} |= "/healthz"'';
      };
      keep = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "How long these entries are kept; null: as long as `default` says.";
        example = "90d";
      };
      sample = mkOption {
        type = types.nullOr types.numbers.nonnegative;
        default = null;
        description = "The share that is kept at all, 0 to 1; null: all.";
        example = 0.1;
      };
      drop = mkOption {
        type = types.bool;
        default = false;
        description = "Whether these entries are not sent at all.";
      };
    };
  };
  # A file is kept from the build when the program finds a mistake in it. It needs no network and no secret for that;
  # what stands in `environmentFile` it does not know.
  checked =
    name: file:
    if cfg.checkConfig && canRun then
      pkgs.runCommand name { } ''
        ${cfg.package}/bin/journal-ship check --allow-unset --config ${file}
        cp ${file} $out
      ''
    else
      file;

  # It is said that queries are to be answered.
  answers = (cfg.settings.query.socket or null) != null || (cfg.settings.query.listen or null) != null;

  # The journals of other hosts are read, too.
  gathers = cfg.server.enable && cfg.server.engine == "journal";

  settings =
    cfg.settings
    // {
      labels = withoutNull cfg.settings.labels;
    }
    // optionalAttrs (cfg.retention != null) { retention = retentionOf cfg.retention; };
  generated = checked "journal-ship.yaml" (format.generate "journal-ship-unchecked.yaml" settings);

  # What both services have in common. The same as in config/journal-ship.service, which says why.
  systemCalls = [
    "@system-service"
    "~@privileged @resources"
  ];
  sandbox = {
    DynamicUser = true;
    # Not a supplementary one: the socket for queries has to belong to it.
    Group = "systemd-journal";
    StateDirectory = "journal-ship";
    StateDirectoryMode = "0700";
    UMask = "0077";
    LoadCredential = lib.mapAttrsToList (name: path: "${name}:${path}") cfg.credentials;

    # A host may raise its limits without mkForce.
    MemoryHigh = mkDefault "192M";
    MemoryMax = mkDefault "256M";
    MemorySwapMax = mkDefault 0;
    LimitCORE = mkDefault 0;
    TasksMax = mkDefault 64;
    LimitNOFILE = mkDefault 8192;

    CapabilityBoundingSet = "";
    DevicePolicy = "closed";
    KeyringMode = "private";
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateMounts = true;
    PrivateTmp = true;
    PrivateUsers = true;
    ProcSubset = "pid";
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RemoveIPC = true;
    RestrictAddressFamilies = [
      "AF_INET"
      "AF_INET6"
      "AF_UNIX"
    ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
  }
  // optionalAttrs (cfg.environmentFile != null) { EnvironmentFile = cfg.environmentFile; }
  # What systemd-journal-remote writes belongs to this group.
  // optionalAttrs gathers { SupplementaryGroups = [ "systemd-journal-remote" ]; };

  # A command of the program for systemd, which reads `%`, `$` and quotes in a way of its own.
  run =
    arguments:
    utils.escapeSystemdExecArgs (
      [
        "${cfg.package}/bin/journal-ship"
        "--config"
        "/etc/${configFile}"
      ]
      ++ arguments
    );

  # Others may scrape the metrics.
  scrapable = cfg.openFirewall || cfg.interfaces != [ ];

  agent = mkIf cfg.enable {
    assertions =
      lib.mapAttrsToList (name: path: {
        assertion = lib.hasPrefix "/" path && !(inStore path);
        message = ''
          services.journalship.credentials.${name} is "${path}": it has to be an absolute path outside the Nix store, which
          everyone can read. Set it to where agenix or sops-nix puts the secret, as config.age.secrets.${name}.path.
        '';
      }) cfg.credentials
      ++ [
        {
          assertion = cfg.environmentFile == null || !(inStore cfg.environmentFile);
          message = ''
            services.journalship.environmentFile is in the Nix store, which everyone can read. Set it to a path outside.
          '';
        }
        {
          assertion = cfg.settings.loki != [ ] || cfg.settings.alerts.alertmanagers != [ ] || answers;
          message = ''
            services.journalship has nowhere to send to. Set services.journalship.loki.url, for example to
            "http://monitor:3100", or services.journalship.alertmanagers, or, to answer queries and send nothing,
            services.journalship.settings.query.socket = "/run/journal-ship/query.sock".
          '';
        }
        {
          assertion = cfg.loki.passwordFile == null || cfg.loki.username != null;
          message = "services.journalship.loki.passwordFile needs services.journalship.loki.username.";
        }
        {
          assertion = cfg.loki.passwordFile == null || cfg.loki.tokenFile == null;
          message = "Of services.journalship.loki.passwordFile and .tokenFile only one can be set.";
        }
        {
          assertion =
            (cfg.loki.tenant == null && cfg.loki.username == null && cfg.loki.tokenFile == null)
            || cfg.loki.url != null;
          message = ''
            services.journalship.loki.tenant, .username and .tokenFile belong to services.journalship.loki.url, which is not
            set; for what services.journalship.settings.loki lists, set them there.
          '';
        }
      ];

    warnings =
      optional ((cfg.rules != { } || cfg.ruleFiles != [ ]) && cfg.settings.alerts.alertmanagers == [ ]) ''
        services.journalship has alert rules, but services.journalship.alertmanagers is empty: nobody is told of alerts.
      ''
      ++ optional (scrapable && !config.networking.firewall.enable) ''
        services.journalship.${if cfg.openFirewall then "openFirewall" else "interfaces"} opens the metrics to everyone: networking.firewall.enable is off.
      ''
      ++ optional (journalStorage == "volatile") ''
        journald's Storage is "volatile": what was not shipped before a reboot is lost. Set it to "persistent" in
        services.journald.
      '';

    services.journalship = {
      credentials =
        optionalAttrs (cfg.loki.passwordFile != null) { loki-password = cfg.loki.passwordFile; }
        // optionalAttrs (cfg.loki.tokenFile != null) { loki-token = cfg.loki.tokenFile; };

      settings = {
        loki = mkIf (cfg.loki.url != null) [
          (
            {
              name = "main";
              inherit (cfg.loki) url;
            }
            // optionalAttrs (cfg.loki.tenant != null) { inherit (cfg.loki) tenant; }
            // optionalAttrs (cfg.loki.username != null && cfg.loki.passwordFile != null) {
              basic_auth = {
                inherit (cfg.loki) username;
                password_file = credential "loki-password";
              };
            }
            // optionalAttrs (cfg.loki.tokenFile != null) { bearer_token_file = credential "loki-token"; }
          )
        ];
        alerts = {
          alertmanagers = map (url: { inherit url; }) cfg.alertmanagers;
          rule_files =
            optional (cfg.rules != { }) "${ruleFile "journal-ship-rules.yaml" cfg.rules}"
            ++ map (file: "${file}") cfg.ruleFiles
            # Nobody would be told of what they find.
            ++ optional (cfg.hostRules && cfg.settings.alerts.alertmanagers != [ ]) "${./config/rules/host.yaml}";
        };
        # The name of the host in the flake, also for what early boot wrote under another name. Of several hosts, each entry says it.
        labels.static = {
          job = mkDefault "systemd-journal";
          host = mkIf (config.networking.hostName != "" && !(cfg.settings.labels.fields ? host) && !gathers) (
            mkDefault config.networking.hostName
          );
        };
        http.listen = mkIf scrapable (mkDefault "0.0.0.0:${toString metricsPort}");
      };
    };

    environment.systemPackages = [ cfg.package ];
    # A fixed name, so that a change reloads the agent instead of restarting it.
    environment.etc.${configFile}.source = generated;

    networking.firewall = {
      allowedTCPPorts = optional cfg.openFirewall metricsPort;
      interfaces = lib.genAttrs cfg.interfaces (_: {
        allowedTCPPorts = [ metricsPort ];
      });
    };

    systemd.services.journal-ship = {
      description = "Ship the systemd journal to Grafana Loki, and alert on it";
      documentation = [ "man:journal-ship(8)" ];
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "systemd-journald.service"
      ];
      reloadTriggers = [ generated ];
      serviceConfig = sandbox // {
        Type = "notify-reload";
        NotifyAccess = "main";
        ExecStart = run cfg.extraFlags;
        Restart = "always";
        RestartSec = mkDefault "5s";
        RestartPreventExitStatus = 78;
        WatchdogSec = mkDefault "2min";
        TimeoutStopSec = mkDefault "15s";

        RuntimeDirectory = "journal-ship";
        RuntimeDirectoryMode = "0755";
        CPUWeight = mkDefault 25;
        SystemCallFilter = systemCalls ++ [ "setpriority" ];
      };
    };

    # The same as in config/journal-ship-verify.service and .timer.
    systemd.services.journal-ship-verify = mkIf cfg.verify.enable {
      description = "Compare the systemd journal with what is in Grafana Loki";
      documentation = [ "man:journal-ship(8)" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "journal-ship.service"
      ];
      serviceConfig = sandbox // {
        Type = "oneshot";
        ExecStart = run [
          "verify"
          "--allow-twice"
        ];
        TimeoutStartSec = mkDefault "2h";
        User = "journal-ship";
        CPUWeight = mkDefault 10;
        IOWeight = mkDefault 10;
        SystemCallFilter = systemCalls;
      };
    };
    systemd.timers.journal-ship-verify = mkIf cfg.verify.enable {
      description = "Compare each day's systemd journal with what is in Grafana Loki";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = "*-*-* 01:00:00";
        RandomizedDelaySec = "2h";
        Persistent = true;
      };
    };
  };
in
{
  imports = [
    ./config/nix/server.nix
    ./config/nix/journal.nix
  ];

  options.services.journalship = {
    enable = mkEnableOption "journal-ship, which ships this host's journal to Loki and alerts on it";

    package =
      mkPackageOption
        (
          pkgs
          // {
            journal-ship =
              pkgs.journal-ship or (throw ''
                There is no pkgs.journal-ship. Import nixosModules.default of the flake, add its overlays.default, or set
                services.journalship.package.
              '');
          }
        )
        "journal-ship"
        {
          example = "pkgs.pkgsStatic.journal-ship";
          extraDescription = "It is run, and it checks the configuration.";
        };

    loki = {
      url = mkOption {
        type = types.nullOr types.str;
        default =
          if cfg.server.engine != "loki" then
            null
          else if cfg.server.enable then
            "http://127.0.0.1:${toString cfg.server.port}"
          else if cfg.server.host != null then
            "http://${cfg.server.host}:${toString cfg.server.port}"
          else
            null;
        defaultText = lib.literalMD "the server's Loki with `server.enable` or `server.host`, else null";
        description = ''
          Where Loki is. More destinations, and what else one can have, go into `settings.loki`.
        '';
        example = "http://monitor:3100";
      };
      tenant = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The tenant, sent as `X-Scope-OrgID`; null where Loki has `auth_enabled: false`.";
        example = "home";
      };
      username = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "A user's name for the proxy in front of Loki; goes with `passwordFile`.";
        example = "web1";
      };
      passwordFile = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "A file with the password, outside the store. Root may be the only one who can read it.";
        example = lib.literalExpression "config.age.secrets.loki-password.path";
      };
      tokenFile = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "A file with a bearer token, outside the store, instead of a name and a password.";
        example = lib.literalExpression "config.age.secrets.loki-token.path";
      };
    };

    alertmanagers = mkOption {
      type = types.listOf types.str;
      default = optional (cfg.server.enable && cfg.server.alertmanagerUrl != null) cfg.server.alertmanagerUrl;
      defaultText = lib.literalMD "this host's Alertmanager with `services.journalship.server`, else none";
      description = ''
        Where the Alertmanagers are: each is told of every alert. With passwords, certificates and the like they go into
        `settings.alerts.alertmanagers`.
      '';
      example = [ "http://monitor:9093" ];
    };

    rules = mkOption {
      type = ruleGroups;
      default = { };
      description = ''
        Groups of alert rules, by their names, that this host evaluates on its own entries; keys as in the rule files of Loki's
        ruler.
      '';
      example = lib.literalExpression ''
        {
          backup.rules = [
            {
              alert = "BackupFailed";
              expr = '''sum by (host) (count_over_time({unit="restic.service"} |= "error" [1h])) > 0''';
              labels.severity = "warning";
              annotations.summary = "The backup of {{ $labels.host }} failed";
            }
          ];
        }
      '';
    };

    ruleFiles = mkOption {
      type = types.listOf types.path;
      default = [ ];
      description = "Rule files, as Loki's ruler has them. They become part of the system.";
      example = lib.literalExpression "[ ./rules/ssh.yaml ]";
    };

    hostRules = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the rules that come with journal-ship are evaluated, once `alertmanagers` is set: failed units, restart loops,
        lack of memory, disk errors, and the like; docs/rules.md lists them.
      '';
    };

    retention = mkOption {
      type = types.nullOr (
        types.submodule {
          options = {
            label = mkOption {
              type = types.nullOr types.str;
              default = "retention";
              description = "The label that carries how long an entry is kept; null: none.";
              example = "keep";
            };
            default = mkOption {
              type = types.str;
              default = "31d";
              description = "How long what no rule matches is kept.";
              example = "90d";
            };
            rules = mkOption {
              type = types.listOf retentionRule;
              default = [ ];
              description = "The first rule that matches an entry decides on it.";
              example = [
                {
                  selector = ''{unit="sshd.service"}'';
                  keep = "90d";
                }
              ];
            };
          };
        }
      );
      default = null;
      description = ''
        How long logs live, and what is not stored at all. Set it for all hosts in one place: `services.journalship.server` makes
        Loki delete by the same rules. With `server.engine = "journal"` it says what answers leave out, and frees no space. Null:
        nothing is dropped.
      '';
      example = lib.literalExpression ''
        {
          default = "31d";
          rules = [
            { selector = '''{unit="sshd.service"}'''; keep = "90d"; }
            { selector = '''{level="debug"}'''; keep = "1d"; sample = 0.1; }
          ];
        }
      '';
    };

    credentials = mkOption {
      type = types.attrsOf types.str;
      default = { };
      description = ''
        Secrets, by name: absolute paths outside the store. systemd hands them to the service alone, so files that only root can
        read work. In `settings` they are called `''${CREDENTIALS_DIRECTORY}/NAME`.
      '';
      example = lib.literalExpression "{ archive-password = config.age.secrets.archive.path; }";
    };

    environmentFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = ''
        A file outside the store with `NAME=value` lines, for `''${NAME}` in `settings`. Passwords belong into `credentials`.
      '';
      example = "/run/keys/journal-ship.env";
    };

    interfaces = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = ''
        Network interfaces on which others may scrape the metrics (port ${toString metricsPort}): the firewall is opened there,
        and the agent listens on all addresses. Empty: on the loopback interface alone.
      '';
      example = [ "tailscale0" ];
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether everyone who reaches this host may scrape the metrics: the firewall is opened on all interfaces, and the agent
        listens on all addresses. `interfaces` opens it on some. Metrics never have the text of logs, but they name units and rules.
      '';
    };

    extraFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Further arguments of the program.";
      example = [ "--reader=sd-journal" ]; # of a package that has the feature of that name
    };

    verify.enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether a timer compares each day's journal with what is in Loki: docs/verify.md. `hostRules` has an alert for what it finds.
      '';
    };

    checkConfig = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the configuration and the rules are checked when the system is built, so that one with a mistake is not. It
        needs no network and no secret. Turn it off where `settings` names files that only the running host has.
      '';
    };

    settings = mkOption {
      description = ''
        The configuration file, key by key: docs/configuration.md has all of them. What the other options say becomes part of it.
      '';
      default = { };
      example = lib.literalExpression ''
        {
          journal.backfill = "1d";
          loki = [
            {
              name = "archive";
              url = "https://logs.example.org";
              basic_auth = {
                username = "web1";
                password_file = "\''${CREDENTIALS_DIRECTORY}/archive-password";
              };
            }
          ];
        }
      '';
      type = types.submodule {
        freeformType = format.type;
        options = {
          loki = mkOption {
            type = types.listOf (
              types.submodule {
                freeformType = format.type;
                options = {
                  name = mkOption {
                    type = types.str;
                    default = "main";
                    description = "Names the destination and its place in the journal; unique.";
                    example = "archive";
                  };
                  url = mkOption {
                    type = types.str;
                    description = "Where this Loki is.";
                    example = "http://monitor:3100";
                  };
                };
              }
            );
            default = [ ];
            description = "The destinations, each with a name and a URL.";
            example = [ { url = "http://monitor:3100"; } ];
          };
          alerts = mkOption {
            default = { };
            description = "Which rules are evaluated, and who is told.";
            example = {
              evaluation_interval = "30s";
            };
            type = types.submodule {
              freeformType = format.type;
              options = {
                rule_files = mkOption {
                  type = types.listOf types.str;
                  default = [ ];
                  description = "Rule files; `rules` and `ruleFiles` add theirs.";
                  example = [ "/etc/journal-ship/rules/*.yaml" ];
                };
                alertmanagers = mkOption {
                  type = types.listOf (
                    types.submodule {
                      freeformType = format.type;
                      options.url = mkOption {
                        type = types.str;
                        description = "The address of Alertmanager.";
                        example = "http://monitor:9093";
                      };
                    }
                  );
                  default = [ ];
                  description = "The Alertmanagers; `alertmanagers` adds its own.";
                  example = [ { url = "http://monitor:9093"; } ];
                };
              };
            };
          };
          labels = mkOption {
            default = { };
            description = "How an entry becomes a stream.";
            example = {
              max_streams = 1000;
            };
            type = types.submodule {
              freeformType = format.type;
              options = {
                static = mkOption {
                  type = types.attrsOf types.str;
                  default = { };
                  description = ''
                    Labels with a fixed value. `job` is `systemd-journal`, and `host` is `networking.hostName` unless `fields` has
                    one.
                  '';
                  example = {
                    site = "home";
                  };
                };
                fields = mkOption {
                  type = types.nullOr (types.attrsOf (types.either types.str (types.listOf types.str)));
                  default = null;
                  description = "Labels from journal fields, instead of the default ones.";
                  example = {
                    unit = "_SYSTEMD_UNIT";
                  };
                };
              };
            };
          };
          http = mkOption {
            default = { };
            description = "Where Prometheus scrapes.";
            example = {
              listen = null;
            };
            type = types.submodule {
              freeformType = format.type;
              options.listen = mkOption {
                type = types.nullOr types.str;
                default = "127.0.0.1:${toString metricsPort}";
                description = "Address and port of the metrics; null: nowhere. `interfaces` changes it.";
                example = "127.0.0.1:9999";
              };
            };
          };
        };
      };
    };
  };

  config = agent;
}
