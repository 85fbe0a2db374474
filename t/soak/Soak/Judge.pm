package Soak::Judge;

# What the soak test believes must always be true.  Each function returns what
# is wrong, in words, or nothing.

use strict;
use warnings;

use Digest::SHA ();
use JSON::PP ();

use Test::LLM::Sse;

my $json = JSON::PP->new->utf8->allow_nonref;
my %state = map { $_ => 1 }
    qw(none progressing paused soaking completed rolled_back);


# a whole answer of the gateway itself, or a proper error
sub answer {
    my ($c) = @_;

    return _unfinished($c) || _error($c) if $c->status != 200;
    return _unfinished($c) || (defined $c->json ? () : 'a 200 that is not JSON: ' . _start($c))
        if ($c->header('content-type') // '') !~ /event-stream/;
    return stream($c);
}


# whole, or with an error event at its end and cut off, never both
sub stream {
    my ($c) = @_;
    return 'no end in time' if ($c->error // '') eq 'timeout';

    my @events = Test::LLM::Sse::events($c);
    return _unfinished($c) || 'an empty stream' unless @events;
    return 'an open event at the end' if $events[-1]{open};
    my ($odd) = grep { !defined $_->{json} && $_->{data} ne '[DONE]' } @events;
    return "an event that is not JSON: $odd->{raw}" if $odd;

    my $error = Test::LLM::Sse::error(@events);
    my $done = grep { $_->{data} eq '[DONE]' } @events;
    return 'both an error and [DONE]' if $error && $done;
    return _unfinished($c) || 'neither an error nor [DONE]' unless $error || $done;
    return _unfinished($c) if _unfinished($c) && !$error;
    return "$done times [DONE]" if $done > 1;
    return 'something behind [DONE]' if $done && !Test::LLM::Sse::done(@events);
    my ($finish) = grep { ref $_->{json} eq 'HASH' && @{ $_->{json}{choices} || [] }
                          && $_->{json}{choices}[0]{finish_reason} } @events;
    return '[DONE] without a finish reason' if $done && !$finish;
    return unless $done && ($c->header('x-llm-provider') // '') =~ /^(?:one|two)$/;

    # the words of Soak::World, each of them once
    my $text = Test::LLM::Sse::text(@events);
    my $n = () = $text =~ /word/g;
    my $want = join('', map { "word$_ " } 1 .. $n) . 'end';
    return $text eq $want ? () : "not the text of a provider: $text";
}


# the same bytes came out of the application as went in, or it failed
sub application {
    my ($c, $sent) = @_;
    my $wrong = _unfinished($c);
    return $wrong if $wrong;
    return if is_failure($c);
    return 'status ' . $c->status if $c->status != 200;
    return if $c->body eq Digest::SHA::sha256_hex($sent);
    return 'not what was sent: ' . _start($c);
}


# what an application may answer when it fails, in whatever form it likes
sub is_failure { $_[0]->complete && $_[0]->status =~ /^(?:404|500|502|504)$/ }


sub _unfinished {
    my ($c) = @_;
    return 'no answer in time' if ($c->error // '') eq 'timeout';
    return 'the connection: ' . ($c->error // 'ended') if !$c->complete;
    return;
}


sub _error {
    my ($c) = @_;
    my $e = $c->json;
    return 'an error ' . $c->status . ' that is not JSON: ' . _start($c)
        unless ref $e eq 'HASH' && ref $e->{error} eq 'HASH'
            && length($e->{error}{message} // '');
    return 'an internal error: ' . _start($c)
        if ($c->header('x-llm-error') // '') =~ /internal/;
    return;
}

sub _start { substr $_[0]->head . $_[0]->body, 0, 700 }


# ---- the admin API -------------------------------------------------------------

# GET splits/NAME; $least is a version that was seen before it was asked
sub split_doc {
    my ($doc, $least, @variants) = @_;

    return 'no document' unless ref $doc eq 'HASH' && ref $doc->{weights} eq 'HASH';
    my $w = $doc->{weights};
    my $text = $json->canonical->encode($w);
    return "variants: $text" if join(' ', sort keys %$w) ne join ' ', sort @variants;
    my $sum = 0;
    $sum += $_ for values %$w;
    return "weights sum to $sum: $text" if abs($sum - 100) > 0.001;
    return "a weight is out of range: $text" if grep { $_ < 0 || $_ > 100 } values %$w;
    return "version $doc->{version} after $least" if $doc->{version} < $least;
    return "state $doc->{state}" unless $state{ $doc->{state} };
    for my $v (@{ $doc->{variants} || [] }) {
        return "variant $v->{name} has $v->{weight}, not $w->{$v->{name}}"
            if $v->{weight} != $w->{ $v->{name} };
        return "barred, and $v->{weight}%: $v->{name}" if $v->{barred} && $v->{weight} > 0;
    }
    return;
}


# a change by the API: done, or refused with a reason
sub change {
    my ($c, @allowed) = @_;
    my $wrong = _unfinished($c);
    return $wrong if $wrong;
    return if $c->status == 200 && ref $c->json eq 'HASH';
    my $e = $c->json;
    return 'status ' . $c->status . ': ' . _start($c)
        unless ref $e eq 'HASH' && ref $e->{error} eq 'HASH' && $e->{error}{code};
    return if grep { $_ == $c->status } @allowed;
    return 'refused: ' . $c->status . " $e->{error}{code}: $e->{error}{message}";
}


# ---- metrics ---------------------------------------------------------------------

# the page as a hash; a value of undef is none
sub metrics {
    my ($text) = @_;
    my (%page, @odd);
    for (split /\n/, $text) {
        next if /^#|^$/;
        if (/^([a-z_:0-9]+(?:\{.*\})?) (-?[0-9.e+-]+|NaN|\+Inf)$/i) {
            push @odd, "twice: $1" if exists $page{$1};
            $page{$1} = $2;
        } else {
            push @odd, "not a sample: $_";
        }
    }
    return (\%page, @odd);
}


# counters that went back
sub backwards {
    my ($was, $is) = @_;
    return map { "$_: $was->{$_} -> $is->{$_}" } sort grep {
        /^\w+_(?:total|count|sum|bucket)(?:\{|$)/ && exists $is->{$_}
            && $is->{$_} < $was->{$_} - 1e-9
    } keys %$was;
}


# weights of a page, which is not one moment
sub page_weights {
    my ($page) = @_;
    my %sum;
    for (keys %$page) {
        $sum{$1} += $page->{$_} if /^llm_split_weight\{split="(\w+)"/;
    }
    return map { "weights of $_ on the page sum to $sum{$_}" }
        grep { abs($sum{$_} - 1) > 0.0001 } sort keys %sum;
}


# ---- the audit trail -------------------------------------------------------------

# a chain of lines, oldest first; begins anywhere
sub chain {
    my (@lines) = @_;
    my ($prev, $seq);

    for my $line (@lines) {
        my ($hash) = $line =~ /,"hash":"([0-9a-f]{64})"\}$/ or return "a line: $line";
        (my $text = $line) =~ s/,"hash":"[0-9a-f]{64}"\}$/}/;
        return "changed: $line" if Digest::SHA::sha256_hex($text) ne $hash;
        my $entry = $json->decode($line);
        return "missing before: $line"
            if defined $prev && ($entry->{prev_hash} ne $prev || $entry->{seq} != $seq + 1);
        ($prev, $seq) = ($hash, $entry->{seq});
    }
    return;
}

1;
