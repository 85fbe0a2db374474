package Test::LLM;

# What a black-box test starts with:
#
#   use lib 't/lib';
#   use Test::LLM;
#
# It brings Test::More, the classes of the harness, and finish(): the last line
# of every test, which ends each nginx and checks what no test may cause.
# A test that forgets it fails.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use JSON::PP ();
use Test::More;
use Time::HiRes ();

use Test::LLM::Client;
use Test::LLM::Dns;
use Test::LLM::Gateway;
use Test::LLM::Sse;
use Test::LLM::Tls;
use Test::LLM::Upstream;

my $T = File::Spec->rel2abs(dirname(__FILE__) . '/../..');
my $finished;
my $owner = $$;
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

our @EXPORT = qw(
    finish fixture fixture_text wait_for to_json from_json
    chat chat_body ok_chat ok_stream event_script reply silent_port
    black_hole now start_all run_all check form
);


sub import {
    my ($class) = @_;
    my $caller = caller;

    strict->import;
    warnings->import;
    Test::More->export_to_level(1, $class);

    no strict 'refs';
    *{"${caller}::$_"} = \&{$_} for @EXPORT;
}


sub wait_for { Test::LLM::Gateway::wait_for(@_) }
sub to_json  { $json->encode($_[0]) }
sub from_json { scalar eval { $json->decode($_[0]) } }
sub now      { Time::HiRes::time() }

sub fixture { "$T/fixtures/$_[0]" }

sub fixture_text {
    open my $fh, '<:raw', fixture($_[0]) or die "$_[0]: $!";
    local $/;
    return scalar readline $fh;
}


# ---- requests and answers of a chat -----------------------------------------

# the body of a chat request; further members by name
sub chat_body {
    my ($model, %more) = @_;
    return to_json({
        model => $model,
        messages => [ { role => 'user', content => 'Say something.' } ],
        %more,
    });
}

# POST one chat request
sub chat {
    my ($gw, $model, %o) = @_;
    my $path = delete $o{path} || '/v1/chat/completions';
    my $headers = delete $o{headers} || {};
    my $timeout = delete $o{timeout};
    return $gw->http(POST => $path, $headers, chat_body($model, %o), 
                     timeout => $timeout);
}

# a script that answers a chat with this text; "usage => undef" leaves it out
sub ok_chat {
    my ($text, %o) = @_;
    my $usage = exists $o{usage} ? $o{usage}
        : { prompt_tokens => 11, completion_tokens => 3, total_tokens => 14 };

    my $body = to_json({
        id => 'chatcmpl-t{{n}}', object => 'chat.completion',
        created => 1790000000, model => $o{model} || '{{model}}',
        choices => [ {
            index => 0, finish_reason => $o{finish} || 'stop',
            message => { role => 'assistant', content => $text },
        } ],
        $usage ? (usage => $usage) : (),
    });

    return [ (map { [ header => $_ ] } @{ $o{headers} || [] }),
             [ json => $body ] ];
}

# a script that streams these texts as chunks; more steps may stand between
# them as array references; options: usage, done => 0, finish => undef
sub ok_stream {
    my ($parts, %o) = @_;
    my @steps = ([ event => _chunk({ role => 'assistant', content => '' }) ]);

    for my $part (@$parts) {
        push @steps, ref $part ? $part
            : [ event => _chunk({ content => $part }) ];
    }
    my $finish = exists $o{finish} ? $o{finish} : 'stop';
    push @steps, [ event => _chunk({}, $finish) ] if defined $finish;
    push @steps, [ event => to_json({
        id => 'chatcmpl-s', object => 'chat.completion.chunk',
        created => 1790000000, model => '{{model}}', choices => [],
        usage => $o{usage},
    }) ] if $o{usage};
    push @steps, [ event => '[DONE]' ] if $o{done} // 1;

    return \@steps;
}

sub _chunk {
    my ($delta, $finish) = @_;
    return to_json({
        id => 'chatcmpl-s', object => 'chat.completion.chunk',
        created => 1790000000, model => '{{model}}',
        choices => [ { index => 0, delta => $delta,
                       finish_reason => $finish } ],
    });
}

# a script of bare events, sent as they are
sub event_script { [ map { ref $_ ? $_ : [ event => $_ ] } @_ ] }

# reply(503, \%headers, $body): a script with one answer
sub reply {
    my ($status, $headers, $body) = @_;
    my $type = delete $headers->{'Content-Type'}
        || (($body // '') =~ /^\s*[\{\[]/ ? 'application/json' : 'text/plain');

    return [ [ status => $status ],
             (map { [ header => "$_: $headers->{$_}" ] } sort keys %$headers),
             [ header => "Content-Type: $type" ],
             [ body => $body // '' ] ];
}


# ---- uploads -----------------------------------------------------------------

# form(NAME => $text, NAME => [ $head, $data ], ...): type and body of a form
sub form {
    my (@parts) = @_;
    my $b = 'x-boundary-7';
    my $body = '';
    while (my ($name, $v) = splice @parts, 0, 2) {
        my ($head, $data) = ref $v ? @$v : ('', $v);
        $body .= "--$b\r\nContent-Disposition: form-data; name=\"$name\"$head\r\n\r\n$data\r\n";
    }
    return ("multipart/form-data; boundary=$b", "$body--$b--\r\n");
}


# ---- addresses nobody answers on --------------------------------------------

# a port that refuses
sub silent_port { my ($port) = Test::LLM::Gateway::free_port(); return $port }

# a port that takes no more connections and never answers a SYN; keep the list
sub black_hole {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => 0, Proto => 'tcp', Listen => 1) or die "listen: $!";
    listen $listen, 0;
    my @full = map {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', Blocking => 0,
            PeerPort => $listen->sockport, Proto => 'tcp')
    } 1 .. 4;
    return ($listen->sockport, $listen, @full);
}


sub start_all { my ($gw, @requests) = @_; return map { $gw->request(@$_) } @requests }
sub run_all   { Test::LLM::Client::run(@_) }


# ---- the end ----------------------------------------------------------------

# end one nginx before the end of the test
sub check {
    my ($gw) = @_;
    my @problems = $gw->problems;
    ok(!@problems, 'nginx ends clean: no alert, no leak of a secret')
        or diag join "\n", @problems;
}


sub finish {
    check($_) for grep { !$_->{checked} } Test::LLM::Gateway->all;
    done_testing();
    $finished = 1;
}


END {
    if ($$ == $owner && !$finished && !Test::More->builder->{Skip_All}
        && Test::More->builder->current_test)
    {
        print STDERR "# the test ended without finish()\n";
        $? ||= 1;
        for my $gw (Test::LLM::Gateway->all) {
            next unless $gw->{dir};
            print STDERR map { "# $_\n" } grep { /\[(?:alert|emerg|crit|error)\]/ }
                split /\n/, $gw->log;
        }
    }
}

1;
