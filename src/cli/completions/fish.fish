
# What the journal has to ask for.
function __fish_journal_ship_asked
    set -l words (commandline -opc)
    set -l places
    for at in (seq (count $words))
        switch $words[$at]
            case --path --config
                set -a places $words[$at] $words[(math $at + 1)]
            case '--path=*' '--config=*'
                set -a places $words[$at]
        end
    end
    command journal-ship $argv $places 2>/dev/null
end
complete -c journal-ship -n "__fish_journal_ship_using_subcommand labels" -f -a "(__fish_journal_ship_asked labels)"
complete -c journal-ship -n "__fish_journal_ship_using_subcommand query" -f -a "(__fish_journal_ship_asked series '{}')"
complete -c journal-ship -n "__fish_journal_ship_using_subcommand series" -f -a "(__fish_journal_ship_asked series '{}')"
complete -c journal-ship -s u -l unit -x -a "(__fish_journal_ship_asked labels unit)"
