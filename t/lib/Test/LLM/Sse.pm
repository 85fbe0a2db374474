package Test::LLM::Sse;

# Reads an event stream as a client does, by the grammar of WHATWG HTML, and
# tells for each event when its last byte arrived.
#
#   my @events = Test::LLM::Sse::events($response);      # or a string
#   $_->{data}, $_->{event}, $_->{id}, $_->{json}, $_->{at}, $_->{raw}
#   Test::LLM::Sse::text(@events)   the text of an OpenAI chat stream
#   Test::LLM::Sse::done(@events)   whether [DONE] was the last event

use strict;
use warnings;

use JSON::PP ();

my $json = JSON::PP->new->utf8->allow_nonref;


sub events {
    my ($from) = @_;
    my $bytes = ref $from ? $from->body : $from;
    my @pieces = ref $from ? $from->pieces : ();
    my @events;
    my $at = 0;

    $bytes =~ s/^\xEF\xBB\xBF//;

    while ($bytes =~ /\G(.*?(?>\r\n|\n|\r))(?>\r\n|\n|\r)/gs) {
        my $raw = $1;
        my $end = pos $bytes;
        push @events, _event($raw, $end, \@pieces);
        $at = $end;
    }

    my $rest = substr $bytes, $at;
    push @events, { %{ _event($rest, length $bytes, \@pieces) }, open => 1 }
        if $rest =~ /\S/;

    return grep { !$_->{comment} || $_->{open} } @events;
}


sub _event {
    my ($raw, $end, $pieces) = @_;
    my %e = (raw => $raw);
    my @data;

    for my $line (split /\r\n|\n|\r/, $raw) {
        my ($field, $value) = $line =~ /^([^:]*)(?:: ?(.*))?$/s;
        push @data, $value // '' if $field eq 'data';
        $e{$field} = $value if $field eq 'event' || $field eq 'id';
    }

    $e{comment} = !@data;
    $e{data} = join "\n", @data;
    $e{json} = eval { $json->decode($e{data}) };

    for my $p (@$pieces) {
        next if $p->[1] < $end;
        $e{at} = $p->[0];
        last;
    }

    return \%e;
}


sub text {
    return join '', map {
        my $c = ref $_->{json} eq 'HASH' ? $_->{json}{choices} : undef;
        $c && @$c ? $c->[0]{delta}{content} // '' : ''
    } @_;
}


sub done { @_ && $_[-1]{data} eq '[DONE]' }

sub error {
    my ($e) = grep { ref $_->{json} eq 'HASH' && $_->{json}{error} } @_;
    return $e && $e->{json}{error};
}

1;
