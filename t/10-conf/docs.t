# The documents and the code say the same: directives, block members, their
# parameters, variables and error codes, in both directions; and every example
# in the documents loads.

use lib 't/lib';
use Test::LLM;

use File::Basename qw(basename);

my $SRC = 'src/http';


sub slurp {
    my ($file) = @_;
    open my $fh, '<:encoding(UTF-8)', $file or die "$file: $!";
    local $/;
    return scalar readline $fh;
}

# the names in all tables of that type, in order
sub table {
    my ($type, @files) = @_;
    my @names;
    for my $file (@files) {
        my $text = slurp($file);
        while ($text =~ /\b$type\s+\w+\s*\[\]\s*=\s*\{(.*?)\n\};/gs) {
            my $rows = $1;
            push @names, $1 while $rows =~ /\{\s*ngx_string\("([^"]+)"\)/g;
        }
    }
    return @names;
}

sub missing {
    my ($have, $want) = @_;
    my %have = map { $_ => 1 } @$have;
    my %seen;
    return join ' ', grep { !$have{$_} && !$seen{$_}++ } @$want;
}


# directives -------------------------------------------------------------------

my $directives = slurp('docs/directives.md');
my @documented = $directives =~ /^### (\S+)$/mg;
my @commands = table('ngx_command_t', glob "$SRC/*.c");

cmp_ok(scalar @commands, '>', 10, 'the command table was found');
is_deeply(\@documented, \@commands,
    'docs/directives.md has the command table, in its order');

my $module = slurp("$SRC/ngx_http_llm_gateway_module.c");
my @where = (MAIN_CONF => 'http', SRV_CONF => 'server', LOC_CONF => 'location',
             LIF_CONF => 'if in location', LMT_CONF => 'limit_except');

sub contexts {
    my ($flags) = @_;
    my @in;
    for (my $i = 0; $i < @where; $i += 2) {
        push @in, $where[$i + 1] if $flags =~ /\bNGX_HTTP_$where[$i]\b/;
    }
    return join ', ', @in;
}

for my $name (@documented) {
    my ($flags) = $module =~ /ngx_string\("$name"\),\s*(NGX_[^,]*),/;
    my ($context) = $directives =~ /^### $name\n.*?^\*\*Context:\*\* ([^\n]*)$/ms;
    is($context, contexts($flags // ''), "$name: context");

    my ($section) = $directives =~ /^### $name\n(.*?)(?=^### |\z)/ms;
    my ($index) = $directives =~ /\A(.*?)^---/ms;
    my @lacks = grep { $section !~ /^\*\*$_:\*\* \S/m }
        qw(Syntax Default Context);
    is("@lacks", '', "$name: syntax, default and context");
    like($index, qr/\[$name\]\(#$name\)/, "$name: in the index");
}


# members of blocks and their parameters ---------------------------------------

my %block = (
    llm_key_pool => 'key_pool', llm_provider => 'provider',
    llm_model => 'model', llm_route => 'route', llm_prompt => 'prompt',
    llm_split => 'split',
);

for my $directive (sort keys %block) {
    my @files = glob "$SRC/ngx_http_llm_$block{$directive}*.c";
    my @members = table('ngx_http_llm_member_t', @files);
    my ($section) = $directives =~ /^### $directive\n(.*?)(?=^### |\z)/ms;
    my @told = map { /`(\w+)/g } map { (split /\|/)[1] // () }
        grep { /^\| `/ } split /\n/, $section =~ s/\\\|/,/gr;

    cmp_ok(scalar @members, '>', 2, "$directive: members found");
    is(missing(\@told, \@members), '', "$directive: no member untold");
    is(missing(\@members, \@told), '', "$directive: no member made up");
}

for my $name (table('ngx_http_llm_arg_t', glob "$SRC/*.c")) {
    like($directives, qr/\b\Q$name\E=|`\Q$name\E /,
        "the parameter $name is told");
}


# variables --------------------------------------------------------------------

my $variables = slurp('docs/variables.md');
my @told = $variables =~ /^\| `\$(llm_\w+)` \|/mg;
my @known = slurp("$SRC/ngx_http_llm_variables.c")
    =~ /^\s+ngx_http_llm_var\("(\w+)"/mg;

cmp_ok(scalar @known, '>', 10, 'the table of variables was found');
is(missing(\@told, \@known), '', 'no variable untold');
is(missing(\@known, \@told), '', 'no variable made up');


# error codes ------------------------------------------------------------------

my $table = slurp('src/core/llm_error.c');
my %code = $table =~ /^ *\[LLM_CODE_\w+\] = *\n *\{ llm_s\("(\w+)"\), (\d+)/mg;
my %doc = slurp('docs/errors.md') =~ /^\| `(\w+)` \| (\S+) \|/mg;

$code{provider_cut} = $doc{provider_cut};           # an event has no status
is_deeply(\%doc, \%code, 'docs/errors.md has the codes and their status');


# links ------------------------------------------------------------------------

for my $file ('README.md', glob('docs/*.md'), glob('docs/design/*.md')) {
    my ($folder) = $file =~ m{^(.*/)};
    my @dead = grep { !/^https?:/ && !-e ($folder // '') . $_ }
        map { s/#.*//r || basename($file) } slurp($file) =~ /\]\(([^)]+)\)/g;
    is("@dead", '', "$file: links lead somewhere");
}


# examples ---------------------------------------------------------------------

# What an example may refer to, unless it defines it itself.
my %prelude = (
    'key_pool groq'       => '{ key env:GROQ_API_KEY_1 optional; }',
    'key_pool gemini'     => '{ key env:GROQ_API_KEY_1 optional; }',
    'provider groq'       => '{ dialect openai; base_url https://127.0.0.1/v1; keys groq; }',
    'provider canned'     => '{ dialect mock; }',
    'model llama-70b'     => '{ provider groq; }',
    'model qwen-72b'      => '{ provider groq; }',
    'model whisper-turbo' => '{ provider groq; can transcribe; }',
    'model whisper-local' => '{ provider groq; can transcribe; }',
    'route groq-first'    => '{ target llama-70b; }',
    'prompt clinical'     => '{ user "{text}"; answer json; }',
);

sub example {
    my ($text) = @_;
    my ($server, $http) = ('', '');

    if ($text =~ /^\s*http\s*\{(.*)\}\s*\z/ms) {
        $http = $1;

    } elsif ($text =~ /^location |^add_header /m && $text !~ /^server/m) {
        $server = $text;

    } else {
        $http = $text;
    }

    unless ($text =~ /^\s*http\s*\{/m) {
        for my $name (sort keys %prelude) {
            my ($kind, $word) = split ' ', $name;
            next if $text =~ /^llm_$kind\s+$word\s/m;
            $http = "llm_$kind $word $prelude{$name}\n$http";
        }
    }

    $http .= "\nserver { listen 127.0.0.1:%%PORT%%;\n$server\n}\n"
        unless $http =~ /^\s*server\s*\{/m;
    $http =~ s/listen\s+\d+;/listen 127.0.0.1:%%PORT%%;/;
    $http =~ s{/var/lib/nginx}{%%DIR%%}g;
    return $http;
}

my $key_file = "gsk_documentation000000000001\n";

for my $file ('README.md', glob 'docs/*.md') {
    my $n = 0;
    for my $text (slurp($file) =~ /^```nginx\n(.*?)^```/msg) {
        $n++;

        my $gw = Test::LLM::Gateway->new(
            files => {
                'prompts/clinical.txt' => slurp('conf.d/prompts/clinical.txt'),
                'prompts/clinical.schema.json' =>
                    slurp('conf.d/prompts/clinical.schema.json'),
                'prompts/sentiment.txt' =>
                    slurp('conf.d/prompts/sentiment.txt'),
                'prompts/sentiment.schema.json' =>
                    slurp('conf.d/prompts/sentiment.schema.json'),
                'llm/groq-2.key' => $key_file, 'llm/groq-3.key' => $key_file,
                'llm/gemini.keys' => $key_file,
                'llm/clients.json' => '{"clients":[]}',
            },
            env => { map { $_ => "sk-doc-$_-0000000000" }
                     qw(GROQ_API_KEY_1 GROQ_API_KEY_2 OPENAI_API_KEY
                        OPENROUTER_API_KEY REDIS_PASSWORD) });

        my $conf = example($text);
        $conf =~ s{/etc/nginx/llm}{%%DIR%%/llm}g;
        my ($code, $out) = $gw->test_conf($conf);
        is($code, 0, "$file: example $n loads") or diag $out;
    }
}

finish;
