
# What the journal has to ask for.
_journal-ship_asked() {
    local -a written=("${(Q@)${(z)BUFFER}}") places found
    local -i at
    for ((at = 1; at < $#written; at++)); do
        case $written[at] in
            --path|--config) places+=($written[at] $written[at+1]) ;;
            --path=*|--config=*) places+=($written[at]) ;;
        esac
    done
    found=("${(@f)$(command journal-ship "$@" "${places[@]}" 2>/dev/null)}")
    found=("${(@)found%%$'\t'*}")
    compadd -a found
}
_journal-ship_labels() { _journal-ship_asked labels }
_journal-ship_units() { _journal-ship_asked labels unit }
_journal-ship_streams() { _journal-ship_asked series '{}' }
