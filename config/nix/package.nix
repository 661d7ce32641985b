# The package: nothing but Rust, and a C compiler for two crates.
{
  buildPackages,
  lib,
  rustPlatform,
  stdenv,
  tzdata,
}:

let
  root = ../..;
in
rustPlatform.buildRustPackage {
  pname = "journal-ship";
  inherit ((lib.importTOML (root + "/Cargo.toml")).package) version;

  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/Cargo.toml")
      (root + "/Cargo.lock")
      (root + "/Makefile")
      (root + "/README.md")
      (root + "/CHANGELOG.md")
      (root + "/LICENSE-APACHE")
      (root + "/LICENSE-MIT")
      (root + "/benches") # Cargo.toml names them
      (root + "/config")
      (root + "/docs")
      (root + "/proto")
      (root + "/src")
      (root + "/crates")
      # The unit tests read them.
      (root + "/demo")
      (root + "/tests/data")
    ];
  };
  cargoLock.lockFile = root + "/Cargo.lock";
  buildType = "dist";

  # The unit tests. Others need root, a journald of their own and network namespaces: ./test, and the VM test of the flake.
  cargoTestFlags = [
    "--workspace"
    "--lib"
  ];
  nativeCheckInputs = [ tzdata ];
  # Time zones, where there is no /usr/share/zoneinfo.
  preCheck = "export TZDIR=${tzdata}/share/zoneinfo";

  # The same files as in the other packages. Where the program runs, it also writes its manual pages and completions.
  postInstall = ''
    make data PREFIX=$out
  ''
  + lib.optionalString (stdenv.hostPlatform.emulatorAvailable buildPackages) ''
    make generated PREFIX=$out BINARY="${stdenv.hostPlatform.emulator buildPackages} $out/bin/journal-ship"
  '';

  meta = {
    description = "Ships the systemd journal to Grafana Loki, and alerts on it";
    longDescription = ''
      One small daemon on every host: it reads the systemd journal's files itself, labels each entry, applies retention rules,
      pushes to Grafana Loki, evaluates LogQL alert rules for Alertmanager, and answers LogQL queries of the journal.
    '';
    homepage = "https://github.com/YOUR-ORGANISATION/journal-ship";
    changelog = "https://github.com/YOUR-ORGANISATION/journal-ship/blob/main/CHANGELOG.md";
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "journal-ship";
    maintainers = [ ];
    platforms = lib.platforms.linux;
    sourceProvenance = [ lib.sourceTypes.fromSource ];
  };
}
