# Four hosts that log to one of them.
{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    agenix.url = "github:ryantm/agenix";
    journal-ship.url = "github:YOUR-ORGANISATION/journal-ship";
  };

  outputs =
    {
      nixpkgs,
      agenix,
      journal-ship,
      ...
    }:
    {
      nixosConfigurations =
        nixpkgs.lib.genAttrs
          [
            "monitor"
            "web1"
            "db1"
            "nas"
          ]
          (
            host:
            nixpkgs.lib.nixosSystem {
              modules = [
                agenix.nixosModules.default
                journal-ship.nixosModules.default
                ./logging.nix
                ./hosts/${host}.nix
                { networking.hostName = host; }
              ];
            }
          );
    };
}
