# A rule of its own, and a stage that makes the level of an application a label.
{
  services.journalship = {
    rules.shop.rules = [
      {
        alert = "ShopFails";
        expr = ''sum by (host) (count_over_time({unit="shop.service", level="error"} [5m])) > 10'';
        for = "2m";
        labels.severity = "page";
        annotations.summary = "{{ $value }} errors of the shop within five minutes";
      }
    ];
    settings.stages = [
      {
        match = {
          selector = ''{unit="shop.service"}'';
          stages = [
            { json.expressions.level = "lvl"; }
            { labels.level = "level"; }
          ];
        };
      }
    ];
  };
}
